"""Reads bodies of uploads whole, and bounds what they may hold in memory.

Whose a body without a key in the headers is shows only once it is parsed. Up to 1 MiB it is read as
any other, so that the clients that send the key as a field need nothing else; but only so many are
open at once that have not shown a valid key yet. A longer one takes one of two places. With a key
in a header there are more places for long bodies. A place is held until the tickets are stored:
parsed, a body takes several times its bytes.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Any

from litestar import Request
from parlance.api.domain.tickets.input import bounds
from parlance.api.http import json_body
from parlance.api.http.body import BodyReader, Pace
from parlance.api.http.errors import Refused
from parlance.api.identity import guard
from parlance.contracts.problems import Problem

_ADVICE = "Send the key in X-Api-Key."
_PACE = Pace(idle_seconds=30.0, min_bytes_per_second=32 * 1024, max_wait_seconds=600.0)
_UNKEYED_PACE = dataclasses.replace(_PACE, max_wait_seconds=30.0, advice=_ADVICE)
_RETRY_SECONDS = 5
LONG_BYTES = bounds.MAX_UNKEYED_BODY_BYTES
"""From here on a body needs a place."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How many bodies at once in one process, and how slowly they may come."""

    long: int = 4
    """Long bodies with a key in the headers; parsed, up to 100 MiB each."""
    long_wait_seconds: float = 60.0
    unkeyed: int = 64
    """Bodies of at most 1 MiB whose key is not known yet."""
    unkeyed_long: int = 2
    """Longer ones whose key does not stand in the headers."""
    unkeyed_wait_seconds: float = 10.0
    pace: Pace = _PACE
    unkeyed_pace: Pace = _UNKEYED_PACE


@dataclass(frozen=True, slots=True)
class Body:
    """A whole body."""

    data: bytes
    _counted: contextlib.ExitStack

    def note_key(self) -> None:
        """Its key is known and valid: it is a stranger's no more."""
        self._counted.close()


class Bodies:
    """One per process."""

    def __init__(self, limits: BodyLimits | None = None) -> None:
        self._limits = limits or BodyLimits()
        self._long = asyncio.Semaphore(self._limits.long)
        self._unkeyed_long = asyncio.Semaphore(self._limits.unkeyed_long)
        self._unkeyed = 0

    @contextlib.asynccontextmanager
    async def open(self, request: Request[Any, Any, Any]) -> AsyncGenerator[Body, None]:
        """The whole body; the block is to end when its tickets are stored. Raises Refused,
        ClientGone."""
        json_body.check_content_type(request)
        length = request.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > bounds.MAX_BODY_BYTES:
            raise json_body.refuse_size(bounds.MAX_BODY_BYTES)
        is_known = guard.find_principal(request) is not None
        async with contextlib.AsyncExitStack() as places:
            counted = places.enter_context(contextlib.ExitStack())
            if not is_known:
                counted.enter_context(self._count_unkeyed())
            yield Body(await self._read(request, places, is_known=is_known), counted)

    async def _read(
        self, request: Request[Any, Any, Any], places: contextlib.AsyncExitStack, *, is_known: bool
    ) -> bytes:
        limits = self._limits
        reader = BodyReader(request, limits.pace if is_known else limits.unkeyed_pace)
        data, has_place = bytearray(), False
        async with contextlib.aclosing(reader.chunks()) as chunks:
            async for chunk in chunks:
                data += chunk
                if len(data) > bounds.MAX_BODY_BYTES:
                    raise json_body.refuse_size(bounds.MAX_BODY_BYTES)
                if len(data) > LONG_BYTES and not has_place:
                    await self._take_place(places, is_known=is_known)
                    has_place = True
        return bytes(data)

    @contextlib.contextmanager
    def _count_unkeyed(self) -> Iterator[None]:
        if self._unkeyed >= self._limits.unkeyed:
            raise _refuse(f"Too many requests without a key in a header at once. {_ADVICE}")
        self._unkeyed += 1
        try:
            yield
        finally:
            self._unkeyed -= 1

    async def _take_place(self, places: contextlib.AsyncExitStack, *, is_known: bool) -> None:
        limits = self._limits
        free = self._long if is_known else self._unkeyed_long
        seconds = limits.long_wait_seconds if is_known else limits.unkeyed_wait_seconds
        try:
            async with asyncio.timeout(seconds):
                await places.enter_async_context(free)
        except TimeoutError:
            advice = "" if is_known else f" {_ADVICE}"
            raise _refuse(f"Too many long requests at once.{advice}") from None


def _refuse(detail: str) -> Refused:
    headers = {"Retry-After": str(_RETRY_SECONDS), "Connection": "close"}
    return Refused(Problem.UNAVAILABLE, detail, headers=headers)
