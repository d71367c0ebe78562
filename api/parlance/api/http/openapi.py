"""The OpenAPI document and its page, served from here: no file comes from anywhere else.

`/api/docs` is the page, `/api/docs/openapi.json` the document.
"""

import importlib.metadata
from typing import Any

from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Tag
from litestar.router import Router
from litestar.static_files import create_static_files_router
from swagger_ui_bundle import swagger_ui_path

DOCS_PATH = "/api/docs"
STATIC_PATH = "/api/docs-static"

_DESCRIPTION = """\
Upload call recordings; get transcripts and insights while they are made.

Every answer that is not the wanted one is a problem (RFC 9457, `application/problem+json`) with a
stable `code`. Every answer carries `X-Request-Id`; send your own to find it again.
"""


def build_config(opt: dict[str, Any]) -> OpenAPIConfig:
    """`opt` says who may read the document."""
    return OpenAPIConfig(
        title="Parlance",
        version=importlib.metadata.version("parlance"),
        description=_DESCRIPTION,
        openapi_router=Router(DOCS_PATH, route_handlers=[], include_in_schema=False, opt=opt),
        render_plugins=[
            SwaggerRenderPlugin(
                js_url=f"{STATIC_PATH}/swagger-ui-bundle.js",
                css_url=f"{STATIC_PATH}/swagger-ui.css",
                standalone_preset_js_url=f"{STATIC_PATH}/swagger-ui-standalone-preset.js",
                favicon=f'<link rel="icon" href="{STATIC_PATH}/favicon-32x32.png">',
                path=["/", "/swagger"],
            ),
            JsonRenderPlugin(path="/openapi.json"),
        ],
        tags=[Tag("Calls"), Tag("Events"), Tag("Limits"), Tag("Health")],
        components=Components(
            security_schemes={
                "apiKey": SecurityScheme(
                    type="apiKey", name="X-Api-Key", security_scheme_in="header"
                ),
                "bearer": SecurityScheme(type="http", scheme="bearer"),
            }
        ),
        security=[{"apiKey": []}, {"bearer": []}],
        use_handler_docstrings=True,
    )


def build_static_router(opt: dict[str, Any]) -> Router:
    """The page's own files."""
    return create_static_files_router(
        path=STATIC_PATH, directories=[swagger_ui_path], include_in_schema=False, opt=opt
    )
