"""How an operation stands in the OpenAPI document, where the framework cannot tell by itself:
its problems, bodies that it does not parse, answers of several media types. No behaviour here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    RequestBody,
    Schema,
)
from parlance.api.http import schemas
from parlance.api.http.problems import MEDIA_TYPE
from pydantic import BaseModel

JsonSchema = dict[str, Any]

NO_KEY: list[dict[str, list[str]]] = [{}]
"""`security` of public operations."""
BINARY: JsonSchema = {"type": "string", "format": "binary"}
TEXT: JsonSchema = {"type": "string"}


def build_problem(description: str) -> ResponseSpec:
    return ResponseSpec(
        data_container=schemas.Problem,
        description=description,
        media_type=MEDIA_TYPE,
        generate_examples=False,
    )


def build_problems(descriptions: Mapping[int, str]) -> dict[int, ResponseSpec]:
    return {status: build_problem(text) for status, text in descriptions.items()}


KEYED_PROBLEMS = build_problems(
    {
        400: "The request is malformed, or it holds two different keys or one in the query",
        401: "No valid API key",
        403: "The key lacks the scope",
        503: "A part of the service is away; see Retry-After",
    }
)
"""Of every operation that asks for a key."""
WRONG_PARAMETER = build_problems({422: "A parameter is wrong"})


def build_contents(media_types: Iterable[str], schema: JsonSchema) -> dict[str, OpenAPIMediaType]:
    return {media_type: OpenAPIMediaType(schema=_wrap(schema)) for media_type in media_types}


def build_operation(
    *,
    body: RequestBody | None = None,
    responses: Mapping[int, OpenAPIResponse] | None = None,
) -> type[Operation]:
    """The class of an operation with another body or other answers than the framework finds.

    An answer replaces the found one of its status.
    """

    @dataclass
    class Described(Operation):
        def __post_init__(self) -> None:
            self.request_body = body or self.request_body
            self.responses = dict(self.responses or {})
            for status, response in (responses or {}).items():
                self.responses[str(status)] = response

    return Described


def build_body(media_type: str, schema: JsonSchema, **options: Any) -> RequestBody:
    content = {media_type: OpenAPIMediaType(schema=_wrap(schema), **options)}
    return RequestBody(required=True, content=content)


def build_properties(model: type[BaseModel]) -> dict[str, JsonSchema]:
    """The schema of each field of a model, complete in itself. That a field may also be null says
    only that it may be left out."""
    whole = model.model_json_schema()
    definitions = whole.get("$defs", {})
    return {
        name: _clean(_resolve(schema, definitions)) for name, schema in whole["properties"].items()
    }


def _resolve(schema: JsonSchema, definitions: JsonSchema) -> JsonSchema:
    """References and the null beside a type replaced by what they stand for, also further down."""
    found: JsonSchema = dict(schema)
    if "$ref" in found:
        target = definitions[found.pop("$ref").rpartition("/")[2]]
        found = _resolve(target, definitions) | found
    if "anyOf" in found:
        choices = [
            _resolve(item, definitions) for item in found.pop("anyOf") if item != {"type": "null"}
        ]
        chosen: JsonSchema = choices[0] if len(choices) == 1 else {"anyOf": choices}
        found = chosen | found
    for name in ("additionalProperties", "items"):
        if isinstance(found.get(name), dict):
            found[name] = _resolve(found[name], definitions)
    if "properties" in found:
        found["properties"] = {
            name: _clean(_resolve(item, definitions)) for name, item in found["properties"].items()
        }
    return found


def _clean(schema: JsonSchema) -> JsonSchema:
    return {
        key: value
        for key, value in schema.items()
        if key != "title" and not (key == "default" and value is None)
    }


def _wrap(schema: JsonSchema) -> Schema:
    """The document takes a plain JSON schema too, though its types do not say so."""
    return cast("Schema", schema)
