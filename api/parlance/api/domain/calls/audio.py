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
from parlance.media.sniff import Container
from parlance.runtime.store import Store

UNKNOWN_TYPE = "application/octet-stream"
PLAYED_TYPES = frozenset(container.media_type for container in Container)
"""What a browser may be told to play. A CallJob made with kubectl carries whatever type its author
wrote; a page or a script among them would run in the name of our users."""

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
    media_type = choose_media_type(call.media_type)
    headers = _build_headers(call, media_type)
    try:
        extent = parse_range(range_header, size_bytes)
    except Unsatisfiable:
        headers["Content-Range"] = f"bytes */{size_bytes}"
        return Response(b"", status_code=416, headers=headers, media_type=media_type)
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
        media_type=media_type,
    )


def choose_media_type(stored: str | None) -> str:
    """Only types that our own detection gives to files; anything else is just bytes."""
    return stored if stored in PLAYED_TYPES else UNKNOWN_TYPE


def _build_headers(call: tables.Call, media_type: str) -> dict[str, str]:
    """The bytes come from outside: a browser may play them, and must never run them."""
    name = quote(call.original_name or f"{call.id}.{call.container or 'bin'}", safe="")
    disposition = "attachment" if media_type == UNKNOWN_TYPE else "inline"
    return {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
        "Content-Disposition": f"{disposition}; filename*=UTF-8''{name}",
    }
