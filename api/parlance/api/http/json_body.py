"""JSON from clients, bounded and read strictly: no repeated names, no NaN, no text that Postgres
cannot hold."""

import json
import math
from collections.abc import AsyncIterator, Sequence
from typing import Any

from litestar import Request
from parlance.api.http.errors import FieldError, Refused
from parlance.contracts.problems import Problem

MAX_BYTES = 256 * 1024
MAX_DEPTH = 200
"""How many objects and arrays may stand in one another. Far below Python's recursion limit, so
that whatever walks through the value later does not end in a RecursionError."""


def check_content_type(request: Request[Any, Any, Any]) -> None:
    """Raises Refused for a body that is declared to be something else."""
    declared = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if declared != "application/json":
        raise Refused(Problem.UNSUPPORTED_CONTENT_TYPE, "Send application/json.")


async def read_object(
    chunks: AsyncIterator[bytes], *, max_bytes: int = MAX_BYTES
) -> dict[str, Any]:
    """The JSON object that a body is. Raises Refused."""
    data = bytearray()
    async for chunk in chunks:
        data += chunk
        if len(data) > max_bytes:
            raise Refused(
                Problem.TOO_LARGE,
                headers={"Connection": "close"},
                members={"max_bytes": max_bytes},
            )
    return parse_object(bytes(data))


def parse_json(data: bytes | str) -> Any:
    """Raises Refused (400) for anything that is not clean JSON."""
    try:
        value = json.loads(data, object_pairs_hook=_build_object, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise Refused(Problem.MALFORMED_REQUEST, "The JSON cannot be parsed.") from exc
    _check(value)
    return value


def parse_object(data: bytes | str) -> dict[str, Any]:
    """A JSON object. Raises Refused."""
    value = parse_json(data)
    if not isinstance(value, dict):
        raise Refused(Problem.MALFORMED_REQUEST, "A JSON object is needed.")
    return value


def _build_object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Refused(
                Problem.DUPLICATE_FIELD,
                errors=[FieldError(f"/{name[:64]}", Problem.DUPLICATE_FIELD.code, "occurs twice")],
            )
        found[name] = value
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _check(value: Any, depth: int = 0) -> None:
    """`depth`: how many objects and arrays the value is in.

    Escapes can make what UTF-8 cannot carry, NUL and lone surrogates; 1e999 is infinite."""
    match value:
        case str():
            if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
                raise Refused(Problem.INVALID_TEXT)
        case float():
            if not math.isfinite(value):
                raise Refused(Problem.MALFORMED_REQUEST, "A number in the JSON is too large.")
        case list() | dict() if depth == MAX_DEPTH:
            raise Refused(Problem.MALFORMED_REQUEST, "The JSON is nested too deeply.")
        case list():
            for item in value:
                _check(item, depth + 1)
        case dict():
            for name, item in value.items():
                _check(name)
                _check(item, depth + 1)
