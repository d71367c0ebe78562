"""`GET /api/limits`: every limit that a client can run into, each area's beside the shared ones."""

from collections.abc import Iterable
from typing import Any

import msgspec
from litestar import get
from litestar.exceptions import ImproperlyConfiguredException
from litestar.handlers import HTTPRouteHandler
from parlance.api.http import fields, json_body, operations, paging
from parlance.api.http.multipart import FormLimits


class SharedLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Of every area."""

    max_form_text_bytes: int
    max_form_parts: int
    max_form_header_bytes: int
    max_name_characters: int = fields.MAX_NAME_CHARACTERS
    max_id_characters: int = fields.MAX_ID_CHARACTERS
    max_page_items: int = paging.MAX_PAGE_ITEMS
    max_json_bytes: int = json_body.MAX_BYTES
    max_json_depth: int = json_body.MAX_DEPTH


def build_shared(form: FormLimits) -> SharedLimits:
    return SharedLimits(
        max_form_text_bytes=form.text_bytes,
        max_form_parts=form.parts,
        max_form_header_bytes=form.header_bytes,
    )


def build_route(groups: Iterable[msgspec.Struct], opt: dict[str, Any]) -> HTTPRouteHandler:
    """The route that shows the members of all groups as one object.

    Raises ImproperlyConfiguredException for two limits of one name: a client would see only one.
    """
    types: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for group in groups:
        new_types = {field.name: field.type for field in msgspec.structs.fields(group)}
        if repeated := types.keys() & new_types.keys():
            raise ImproperlyConfiguredException(f"declared twice: {', '.join(sorted(repeated))}")
        types |= new_types
        values |= msgspec.structs.asdict(group)
    shape = msgspec.defstruct("Limits", list(types.items()))
    shape.__doc__ = "Every limit that a client can run into."
    limits = shape(**values)

    async def get_limits() -> msgspec.Struct:
        """Needs no key: a client may look before it has one."""
        return limits

    get_limits.__annotations__["return"] = shape
    return get(
        "/api/limits",
        operation_id="getLimits",
        summary="Get the limits",
        tags=["Limits"],
        security=operations.NO_KEY,
        opt=opt,
    )(get_limits)
