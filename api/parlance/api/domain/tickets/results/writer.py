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

_Pending = tuple[Change, asyncio.Future[bool]]


class Writer:
    """One per recorder process; several processes are harmless."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._pending: deque[_Pending] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def write(self, change: Change) -> bool:
        """Committed when it returns. False: the ticket is gone, has ended, or is in a later
        attempt. Raises what the database raises."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._pending.append((change, done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
        return await done

    async def _write_all(self) -> None:
        while self._pending:
            batch = self._take()
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

    def _take(self) -> list[_Pending]:
        """The next ones; of one ticket only the first, since one statement changes a row once."""
        batch: dict[str, _Pending] = {}
        while self._pending and len(batch) < MAX_BATCH:
            if self._pending[0][0].id in batch:
                break
            item = self._pending.popleft()
            batch[item[0].id] = item
        return list(batch.values())

    async def _write(self, batch: list[_Pending]) -> None:
        _BATCH.observe(len(batch))
        async with self._database.system_session() as session:
            changed = await records.apply(
                session, [change for change, _ in batch], self._clock.now()
            )
        for change, done in batch:
            if not done.done():
                done.set_result(change.id in changed)

    async def _write_alone(self, item: _Pending) -> None:
        try:
            await self._write([item])
        except Exception as fault:  # noqa: BLE001 - handed to whoever waits for it
            _fail([item], fault)


def _fail(batch: list[_Pending], fault: Exception) -> None:
    for _, done in batch:
        if not done.done():
            done.set_exception(fault)
