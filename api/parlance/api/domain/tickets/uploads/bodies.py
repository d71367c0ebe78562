"""Reads bodies of uploads whole, and bounds what they may hold in memory.

Whose a body without a key in the headers is shows only once it is parsed. Up to 1 MiB it is read as
any other, so that the clients that send the key as a field need nothing else; but only so many are
open at once that have not shown a valid key yet. A longer one takes one of two places until its key
is known. With a key there are more places for long bodies, of which each company may take a part. A
place is held until the tickets are stored: parsed, a body takes many times its bytes.
"""

import asyncio
import contextlib
import dataclasses
import uuid
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from litestar import Request
from parlance.api.domain.tickets.input import bounds
from parlance.api.http import json_body
from parlance.api.http.body import BodyReader, Pace
from parlance.api.http.errors import Refused
from parlance.api.identity import guard
from parlance.api.identity.principal import Principal
from parlance.contracts.problems import Problem

_ADVICE = "Send the key in X-Api-Key."
_PACE = Pace(idle_seconds=30.0, min_bytes_per_second=32 * 1024, max_wait_seconds=600.0)
_UNKEYED_PACE = dataclasses.replace(_PACE, max_wait_seconds=30.0, advice=_ADVICE)
_COMPANY_BUSY = "The company has too many long requests at once."
_RETRY_SECONDS = 5
_MAX_KEYED = (bounds.MAX_BRACKETS, bounds.MAX_COMMAS)
_MAX_UNKEYED = (bounds.MAX_UNKEYED_BRACKETS, bounds.MAX_UNKEYED_COMMAS)
LONG_BYTES = bounds.MAX_UNKEYED_BODY_BYTES
"""From here on a body needs a place."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How many bodies at once in one process, and how slowly they may come."""

    long: int = 4
    """Long bodies whose key is known; parsed, up to 250 MiB each."""
    long_of_company: int = 2
    long_wait_seconds: float = 60.0
    unkeyed: int = 64
    """Bodies of at most 1 MiB whose key is not known yet."""
    unkeyed_long: int = 2
    """Longer ones whose key is not known yet; parsed, up to 60 MiB each."""
    unkeyed_wait_seconds: float = 10.0
    pace: Pace = _PACE
    unkeyed_pace: Pace = _UNKEYED_PACE


@dataclass(frozen=True, slots=True)
class Body:
    """A whole body."""

    data: bytes
    is_known: bool
    """Whether the key stood in a header."""
    _note_key: Callable[[uuid.UUID], Awaitable[None]]

    def parse(self) -> dict[str, Any]:
        """Raises Refused, before anything is parsed, for a body that would take much memory."""
        brackets = self.data.count(b"{") + self.data.count(b"[")
        commas = self.data.count(b",")
        max_brackets, max_commas = _MAX_KEYED if self.is_known else _MAX_UNKEYED
        if brackets > max_brackets:
            raise _refuse_parts("objects and arrays", "max_brackets", max_brackets)
        if commas > max_commas:
            raise _refuse_parts("commas", "max_commas", max_commas)
        return json_body.parse_object(self.data)

    async def note_key(self, principal: Principal) -> None:
        """The key is valid: the body counts as one of its company from here on. Raises Refused
        when the company has too many long ones."""
        await self._note_key(principal.company_id)


class Bodies:
    """One per process."""

    def __init__(self, limits: BodyLimits | None = None) -> None:
        self._limits = limits or BodyLimits()
        self._long = asyncio.Semaphore(self._limits.long)
        self._unkeyed_long = asyncio.Semaphore(self._limits.unkeyed_long)
        self._unkeyed = 0
        # A company's share exists while one of its bodies holds or awaits a place.
        self._shares = weakref.WeakValueDictionary[uuid.UUID, asyncio.Semaphore]()

    @contextlib.asynccontextmanager
    async def open(self, request: Request[Any, Any, Any]) -> AsyncGenerator[Body, None]:
        """The whole body; the block is to end when its tickets are stored. Raises Refused,
        ClientGone."""
        json_body.check_content_type(request)
        length = request.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) > bounds.MAX_BODY_BYTES:
            raise json_body.refuse_size(bounds.MAX_BODY_BYTES)
        limits, principal = self._limits, guard.find_principal(request)
        company_id = principal.company_id if principal is not None else None
        async with contextlib.AsyncExitStack() as places:
            unkeyed = await places.enter_async_context(contextlib.AsyncExitStack())
            unkeyed.enter_context(self.count_unkeyed(request))
            data = await self._read(request, unkeyed if company_id is None else places, company_id)

            async def note_key(company_id: uuid.UUID) -> None:
                if principal is None and len(data) > LONG_BYTES:
                    # Others wait meanwhile for the place that is held until then.
                    await self._take_place(places, company_id, limits.unkeyed_wait_seconds)
                await unkeyed.aclose()

            yield Body(data, principal is not None, note_key)

    async def _read(
        self,
        request: Request[Any, Any, Any],
        places: contextlib.AsyncExitStack,
        company_id: uuid.UUID | None,
    ) -> bytes:
        limits = self._limits
        pace, seconds = limits.pace, limits.long_wait_seconds
        if company_id is None:
            pace, seconds = limits.unkeyed_pace, limits.unkeyed_wait_seconds
        reader = BodyReader(request, pace)
        data, has_place = bytearray(), False
        async with contextlib.aclosing(reader.chunks()) as chunks:
            async for chunk in chunks:
                data += chunk
                if len(data) > bounds.MAX_BODY_BYTES:
                    raise json_body.refuse_size(bounds.MAX_BODY_BYTES)
                if len(data) > LONG_BYTES and not has_place:
                    await self._take_place(places, company_id, seconds)
                    has_place = True
        return bytes(data)

    @contextlib.contextmanager
    def count_unkeyed(self, request: Request[Any, Any, Any]) -> Iterator[None]:
        """Counts a request whose key does not stand in a header. Raises Refused when there are too
        many."""
        if guard.find_principal(request) is not None:
            yield
            return
        if self._unkeyed >= self._limits.unkeyed:
            raise _refuse(f"Too many requests without a key in a header at once. {_ADVICE}")
        self._unkeyed += 1
        try:
            yield
        finally:
            self._unkeyed -= 1

    async def _take_place(
        self,
        places: contextlib.AsyncExitStack,
        company_id: uuid.UUID | None,
        wait_seconds: float,
    ) -> None:
        if company_id is None:
            refusal = _refuse(f"Too many long requests at once. {_ADVICE}")
            wanted = [(self._unkeyed_long, refusal)]
        else:
            # The company's share first: who waits for it must not hold a place of the process.
            places_of_company = self._limits.long_of_company
            share = self._shares.setdefault(company_id, asyncio.Semaphore(places_of_company))
            wanted = [
                (share, _refuse(_COMPANY_BUSY, Problem.RATE_LIMITED)),
                (self._long, _refuse("Too many long requests at once.")),
            ]
        deadline = asyncio.get_running_loop().time() + wait_seconds
        for free, refusal in wanted:
            try:
                async with asyncio.timeout_at(deadline):
                    await places.enter_async_context(free)
            except TimeoutError:
                raise refusal from None


def _refuse(detail: str, problem: Problem = Problem.UNAVAILABLE) -> Refused:
    headers = {"Retry-After": str(_RETRY_SECONDS), "Connection": "close"}
    return Refused(problem, detail, headers=headers)


def _refuse_parts(what: str, name: str, limit: int) -> Refused:
    detail = f"The body may have at most {limit:,} {what}."
    return Refused(Problem.TOO_LARGE, detail, members={name: limit})
