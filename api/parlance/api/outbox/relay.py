"""Sends what the outbox holds. The recorder polls; the API sends its own rows at once.

What sending means is up to the handler of the row's kind, which the area of that kind provides
(`domain.calls.jobs` creates CallJobs). Rows of a kind without a handler stay where they are: a
newer version wrote them, and it will send them.

A row is locked from before it is sent until it is deleted, in one transaction. So whoever deletes
its subject meanwhile waits for us and then finds what was sent, and two relays never hold the same
row. If we die in between, the row is still there and is sent again, so sending twice must count as
done.
"""

import asyncio
import uuid
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Protocol

import sqlalchemy as sa
import structlog
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.outbox.backoff import plan_backoff
from parlance.runtime.clock import Clock
from parlance.runtime.errors import Permanent, Retryable, RuntimeFault
from prometheus_client import Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

_log = structlog.get_logger(__name__)
_RELAYED = Counter(
    "parlance_outbox_relayed", "Outbox rows worked on, by kind and outcome.", ["kind", "outcome"]
)
_WAITING = Gauge("parlance_outbox_rows", "Rows waiting in the outbox, by kind.", ["kind"])
_OLDEST = Gauge(
    "parlance_outbox_oldest_seconds", "Age of the oldest row in the outbox, by kind.", ["kind"]
)

INLINE_PARALLEL = 4
INLINE_SECONDS = 5.0
"""The fast path holds a database connection while it talks to the cluster. These two keep a slow
cluster from taking all connections away from requests."""


class Outcome(StrEnum):
    """What became of one row."""

    CREATED = "created"
    EXISTED = "existed"
    UNWANTED = "unwanted"
    """Its subject is finished or gone."""
    REFUSED = "refused"
    LATER = "later"

    @property
    def is_settled(self) -> bool:
        return self in (Outcome.CREATED, Outcome.EXISTED, Outcome.UNWANTED)


class Handler(Protocol):
    """How rows of one kind are sent."""

    @property
    def kind(self) -> str: ...

    async def count_room(self, *, is_inline: bool) -> int:
        """How many may be sent now; `is_inline` asks for the fast path. Raises Retryable."""
        ...

    async def find_wanted(
        self, session: AsyncSession, subject_ids: Sequence[uuid.UUID]
    ) -> set[uuid.UUID]:
        """Those that still wait to be sent. Reads without locking: see the order in `rows`."""
        ...

    async def send(self, row: tables.OutboxRow) -> bool:
        """False when it was sent before. Raises Retryable, or Permanent when it is refused."""
        ...

    async def give_up(self, row: tables.OutboxRow, refusal: Permanent) -> None:
        """Sending was refused for good. The row stays and is tried again until the subject has
        ended, so this is called again too. Raises Retryable."""
        ...


class Relay:
    """Sends the rows of some kinds. One per process."""

    def __init__(
        self,
        database: Database,
        handlers: Iterable[Handler],
        clock: Clock,
        *,
        inline_seconds: float = INLINE_SECONDS,
    ) -> None:
        self._database = database
        self._handlers = {str(handler.kind): handler for handler in handlers}
        self._clock = clock
        self._inline_seconds = inline_seconds
        self._inline_slots = asyncio.Semaphore(INLINE_PARALLEL)

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(self._handlers)

    async def relay_one(self, kind: str, subject_id: uuid.UUID) -> bool:
        """The fast path right after the commit. False leaves the row to the recorder: there is
        little room left, somebody else holds the row, or the receiver is away. Never raises for
        these."""
        handler = self._handlers[kind]
        try:
            async with asyncio.timeout(self._inline_seconds), self._inline_slots:
                if await handler.count_room(is_inline=True) == 0:
                    return False
                condition = col(tables.OutboxRow.subject_id) == subject_id
                return await self._relay(handler, condition, limit=1) == 1
        except (RuntimeFault, TimeoutError) as fault:
            _log.info("left to the recorder", kind=kind, id=str(subject_id), problem=repr(fault))
            return False

    async def relay_batch(self, kind: str, limit: int) -> int:
        """Send up to `limit` due rows of a kind, most urgent first. Returns how many were settled.
        Raises Retryable."""
        handler = self._handlers[kind]
        room = await handler.count_room(is_inline=False)
        if room == 0:
            return 0
        due = col(tables.OutboxRow.next_at) <= self._clock.now()
        return await self._relay(handler, due, limit=min(limit, room))

    async def measure(self) -> None:
        """Bring the gauges up to date."""
        row = tables.OutboxRow
        query = sa.select(col(row.kind), sa.func.count(), sa.func.min(col(row.created_at)))
        async with self._database.system_session() as session:
            found = (await session.execute(query.group_by(col(row.kind)))).all()
        waiting = {kind: (count, oldest) for kind, count, oldest in found}
        for kind in {*self.kinds, *waiting}:
            count, oldest = waiting.get(kind, (0, None))
            _WAITING.labels(kind).set(count)
            _OLDEST.labels(kind).set((self._clock.now() - oldest).total_seconds() if oldest else 0)

    async def _relay(
        self, handler: Handler, condition: sa.ColumnElement[bool], *, limit: int
    ) -> int:
        async with self._database.system_session() as session:
            rows = await _lock_rows(session, handler.kind, condition, limit)
            if not rows:
                return 0
            wanted = await handler.find_wanted(session, [row.subject_id for row in rows])
            outcomes = await asyncio.gather(
                *(_send(handler, row, is_wanted=row.subject_id in wanted) for row in rows)
            )
            for row, outcome in zip(rows, outcomes, strict=True):
                await self._settle(session, row, outcome)
        return sum(outcome.is_settled for outcome in outcomes)

    async def _settle(self, session: AsyncSession, row: tables.OutboxRow, outcome: Outcome) -> None:
        _RELAYED.labels(row.kind, outcome).inc()
        if outcome.is_settled:
            await session.delete(row)
            return
        row.attempts += 1
        row.next_at = self._clock.now() + plan_backoff(row.attempts)


async def _send(handler: Handler, row: tables.OutboxRow, *, is_wanted: bool) -> Outcome:
    if not is_wanted:
        return Outcome.UNWANTED
    subject = {"kind": row.kind, "id": str(row.subject_id)}
    try:
        is_new = await handler.send(row)
    except Permanent as refusal:
        _log.error("refused for good", **subject, problem=str(refusal))
        await _give_up(handler, row, refusal)
        return Outcome.REFUSED
    except Retryable as fault:
        _log.warning("not sent", **subject, problem=str(fault))
        return Outcome.LATER
    return Outcome.CREATED if is_new else Outcome.EXISTED


async def _give_up(handler: Handler, row: tables.OutboxRow, refusal: Permanent) -> None:
    try:
        await handler.give_up(row, refusal)
    except Retryable as fault:  # the row stays, so the next try reports it again
        _log.warning(
            "refusal not reported", kind=row.kind, id=str(row.subject_id), problem=str(fault)
        )


async def _lock_rows(
    session: AsyncSession, kind: str, condition: sa.ColumnElement[bool], limit: int
) -> list[tables.OutboxRow]:
    row = tables.OutboxRow
    query = (
        sa.select(row)
        .where(condition, col(row.kind) == kind)
        .order_by(col(row.priority), col(row.created_at), col(row.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list((await session.scalars(query)).all())
