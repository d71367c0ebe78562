"""JSON from clients, bounded and read strictly: no repeated names, no NaN, no deep nesting, no text
that Postgres cannot hold."""

import json
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

from litestar import Request
from parlance.api.http.errors import FieldError, Refused
from parlance.contracts.problems import Problem

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
"""Of arrays and objects in each other."""

# Escapes can make what UTF-8 cannot carry. Most bodies have none of these, and need no search of
# each text in them. Pairs of surrogates are usual: a program writes so what is outside the BMP.
_DOUBTFUL_ESCAPE = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def check_content_type(
    request: Request[Any, Any, Any], allowed: Sequence[str] = ("application/json",)
) -> None:
    """Raises Refused for a body that is declared to be something else."""
    declared = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if declared not in allowed:
        raise Refused(Problem.UNSUPPORTED_CONTENT_TYPE, "Send application/json.")


async def read_object(
    chunks: AsyncIterator[bytes], *, max_bytes: int = MAX_BYTES
) -> dict[str, Any]:
    """The JSON object that a body is. Raises Refused."""
    return parse_object(await read_bytes(chunks, max_bytes=max_bytes))


async def read_bytes(chunks: AsyncIterator[bytes], *, max_bytes: int) -> bytes:
    """A whole body. Raises Refused as soon as it is too long."""
    data = bytearray()
    async for chunk in chunks:
        data += chunk
        if len(data) > max_bytes:
            raise refuse_size(max_bytes)
    return bytes(data)


def refuse_size(max_bytes: int) -> Refused:
    """The connection is closed, since the rest of the body is not read."""
    return Refused(
        Problem.TOO_LARGE,
        f"The body may have at most {max_bytes:,} bytes.",
        headers={"Connection": "close"},
        members={"max_bytes": max_bytes},
    )


def parse_json(data: bytes | str) -> Any:
    """Raises Refused (400) for anything that is not clean JSON."""
    text = data if isinstance(data, str) else _decode(data)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_build_object,
            parse_constant=_refuse_constant,
            parse_float=_parse_float,
        )
    except (ValueError, RecursionError) as exc:
        raise Refused(Problem.MALFORMED_REQUEST, "The JSON cannot be parsed.") from exc
    _check_depth(value)
    if isinstance(data, str) or _DOUBTFUL_ESCAPE.search(text):
        _check_texts(value)
    return value


def parse_object(data: bytes | str) -> dict[str, Any]:
    """A JSON object. Raises Refused."""
    value = parse_json(data)
    if not isinstance(value, dict):
        raise Refused(Problem.MALFORMED_REQUEST, "A JSON object is needed.")
    return value


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise Refused(Problem.INVALID_TEXT, "The body is not UTF-8.") from exc


def _build_object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    counts = Counter(name for name, _ in pairs)
    [(name, _)] = counts.most_common(1)
    raise Refused(
        Problem.DUPLICATE_FIELD,
        errors=[FieldError(f"/{name[:64]}", Problem.DUPLICATE_FIELD.code, "occurs twice")],
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _parse_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):  # such as 1e999
        raise Refused(Problem.MALFORMED_REQUEST, "A number in the JSON is too large.")
    return value


def _check_depth(value: Any) -> None:
    level = [value] if isinstance(value, (dict, list)) else []
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            detail = f"The JSON is nested deeper than {MAX_DEPTH} levels."
            raise Refused(Problem.MALFORMED_REQUEST, detail)
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, (dict, list))
        ]


def _check_texts(value: Any) -> None:
    """Raises Refused for NUL and lone surrogates, which Postgres does not hold."""
    match value:
        case str():
            if _UNSTORABLE.search(value):
                raise Refused(Problem.INVALID_TEXT)
        case list():
            for item in value:
                _check_texts(item)
        case dict():
            for name, item in value.items():
                _check_texts(name)
                _check_texts(item)
