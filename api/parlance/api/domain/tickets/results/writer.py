"""Collects changes that arrive while others are being written, and writes them together.

Under load a batch grows by itself to what came in during the last one; a single event is written at
once.
"""

import asyncio
from collections import deque

from parlance.api.db.session import Database
from parlance.api.domain.tickets.results import records
from parlance.api.domain.tickets.results.changes import Change
from parlance.runtime.clock import Clock
from parlance.runtime.errors import Retryable
from prometheus_client import Histogram

_BATCH = Histogram(
    "parlance_recorder_ticket_batch", "Changes of tickets written in one transaction.",
    buckets=(1, 2, 4, 8, 16, 32, 64),
)  # fmt: skip

MAX_BATCH = 64
MAX_BATCH_BYTES = 4 * 1024 * 1024
"""Of insights: a batch is one parameter of one statement, which exists several times on its way to
Postgres. A larger change goes alone."""

Pending = tuple[Change, asyncio.Future[bool]]


class TicketLocked(Retryable):
    """Another transaction has locked the ticket's row."""

    def __init__(self, ticket_id: str) -> None:
        super().__init__(f"ticket {ticket_id} is locked")
        self.ticket_id = ticket_id


class Writer:
    """One per recorder process; several processes are harmless."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._pending: deque[Pending] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def write(self, change: Change) -> bool:
        """Committed when it returns. False: the ticket is gone, has ended, or is in a later
        attempt. Raises TicketLocked, and what the database raises."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._pending.append((change, done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
        return await done

    async def _write_all(self) -> None:
        while self._pending:
            batch = take_batch(self._pending)
            try:
                await self._write(batch)
            except Retryable as fault:
                _fail(batch, fault)
            # One that cannot be written must not fail the others: each alone shows which it is.
            except Exception as fault:  # noqa: BLE001 - handed to whoever waits for it
                if len(batch) == 1:
                    _fail(batch, fault)
                    continue
                for each in batch:
                    await self._write_alone(each)

    async def _write(self, batch: list[Pending]) -> None:
        _BATCH.observe(len(batch))
        async with self._database.system_session() as session:
            applied = await records.apply(
                session, [change for change, _ in batch], self._clock.now()
            )
        for change, done in batch:
            if change.id in applied.locked:
                _fail([(change, done)], TicketLocked(change.id))
            elif not done.done():
                done.set_result(change.id in applied.changed)

    async def _write_alone(self, item: Pending) -> None:
        try:
            await self._write([item])
        except Exception as fault:  # noqa: BLE001 - handed to whoever waits for it
            _fail([item], fault)


def take_batch(pending: deque[Pending]) -> list[Pending]:
    """Remove the next ones that go together; at least one. Of a ticket only the first, since one
    statement changes a row once."""
    batch: dict[str, Pending] = {}
    size_bytes = 0
    while pending and len(batch) < MAX_BATCH:
        change = pending[0][0]
        size_bytes += memoryview(change.insights).nbytes if change.insights is not None else 0
        if batch and (change.id in batch or size_bytes > MAX_BATCH_BYTES):
            break
        batch[change.id] = pending.popleft()
    return list(batch.values())


def _fail(batch: list[Pending], fault: Exception) -> None:
    for _, done in batch:
        if not done.done():
            done.set_exception(fault)
