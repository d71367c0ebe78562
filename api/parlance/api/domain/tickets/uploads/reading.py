"""Reads one request with tickets into a `TicketUpload`. Called by the routes; `accepting` stores
it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from litestar import Request
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.domain.tickets.input import requests, times
from parlance.api.domain.tickets.input.requests import ParsedBody
from parlance.api.domain.tickets.input.times import Times
from parlance.api.domain.tickets.uploads.bodies import Bodies
from parlance.api.domain.tickets.uploads.upload import Mode, TicketUpload
from parlance.api.http import idempotency
from parlance.api.http.idempotency import Claim
from parlance.api.identity import guard
from parlance.api.identity.guard import Gate
from parlance.api.identity.principal import Principal
from parlance.runtime.clock import Clock
from sqlmodel import col

_T = TypeVar("_T")

SHORT_BYTES = 32 * 1024
"""Up to here a body is parsed at once, in a few milliseconds; a thread would cost more."""
PARALLEL_PARSES = 2
"""Long bodies that are parsed at once. Threads of Python share one core, so more would only hold
more memory."""


class TicketReader:
    """One per process."""

    def __init__(self, database: Database, clock: Clock, gate: Gate, bodies: Bodies) -> None:
        self._database = database
        self._clock = clock
        self._gate = gate
        self._bodies = bodies
        self._parsing = asyncio.Semaphore(PARALLEL_PARSES)

    @contextlib.asynccontextmanager
    async def open(
        self, request: Request[Any, Any, Any], mode: Mode, *, strict: bool
    ) -> AsyncGenerator[TicketUpload, None]:
        """A request whose key and fields are checked, to be stored within the block. Raises
        Refused, ClientGone."""
        async with self._bodies.open(request) as received:
            size_bytes = len(received.data)
            values = await self._compute(size_bytes, received.parse)
            key = guard.read_field_key(values)
            principal = await self._gate.admit_by_field(request, key)
            await received.note_key(principal)
            now = self._clock.now()
            moments = Times(now, times.find_zone(await self._fetch_zone(principal)))

            def parse() -> tuple[ParsedBody, Claim | None]:
                body = requests.parse_body(values, moments, strict=strict)
                return body, _build_claim(request, principal, values, mode, strict=strict)

            body, claim = await self._compute(size_bytes, parse)
            yield TicketUpload(principal, body, mode, claim, now)

    async def _compute(self, size_bytes: int, action: Callable[[], _T]) -> _T:
        if size_bytes <= SHORT_BYTES:
            return action()
        async with self._parsing:
            return await asyncio.to_thread(action)

    async def _fetch_zone(self, principal: Principal) -> str:
        company = tables.Company
        query = sa.select(col(company.time_zone)).where(col(company.id) == principal.company_id)
        async with self._database.company_session(principal.company_id) as session:
            return await session.scalar(query) or "UTC"


def _build_claim(
    request: Request[Any, Any, Any],
    principal: Principal,
    values: dict[str, Any],
    mode: Mode,
    *,
    strict: bool,
) -> Claim | None:
    body = {name: value for name, value in values.items() if name != guard.KEY_FIELD}
    payload = {"body": body, "mode": mode, "strict": strict}
    return idempotency.build_claim(request, principal.company_id, payload)
