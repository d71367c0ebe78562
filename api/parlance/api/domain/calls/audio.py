"""The audio of a call, whole or a part of it (`Range`), as players ask for it."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from litestar import Response
from litestar.response import Stream
from parlance.api.db import tables
from parlance.api.http.errors import Refused
from parlance.contracts.problems import Problem
from parlance.runtime.store import Store

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes from `start` up to, not including, `end`."""

    start: int
    end: int


class Unsatisfiable(Exception):
    """The range lies behind the end."""


def parse_range(header: str, size_bytes: int) -> Extent | None:
    """One range. None for a header that may be ignored: absent, several ranges, other units.
    Raises Unsatisfiable."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        extent = Extent(max(0, size_bytes - int(last)), size_bytes)
    else:
        extent = Extent(int(first), min(size_bytes, int(last) + 1) if last else size_bytes)
    if extent.start >= extent.end:
        raise Unsatisfiable
    return extent


async def build_response(store: Store, call: tables.Call, range_header: str) -> Response[Any]:
    """The file, streamed from the store. Raises Refused when there is none."""
    if call.audio_key is None:
        raise Refused(Problem.NOT_FOUND, "The audio of this call is not in our store.")
    size_bytes = (await store.head(call.audio_key)).size_bytes
    headers = _build_headers(call)
    try:
        extent = parse_range(range_header, size_bytes)
    except Unsatisfiable:
        headers["Content-Range"] = f"bytes */{size_bytes}"
        return Response(b"", status_code=416, headers=headers, media_type="text/plain")
    status = 200
    if extent is not None:
        status = 206
        headers["Content-Range"] = f"bytes {extent.start}-{extent.end - 1}/{size_bytes}"
    extent = extent or Extent(0, size_bytes)
    headers["Content-Length"] = str(extent.end - extent.start)
    return Stream(
        store.stream(call.audio_key, start=extent.start, end=extent.end),
        status_code=status,
        headers=headers,
        media_type=call.media_type or "application/octet-stream",
    )


def _build_headers(call: tables.Call) -> dict[str, str]:
    name = quote(call.original_name or f"{call.id}.{call.container or 'bin'}", safe="")
    return {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",  # the bytes are a stranger's
        "Content-Disposition": f"inline; filename*=UTF-8''{name}",
    }
