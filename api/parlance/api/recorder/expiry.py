"""What is deleted once it is old enough, whatever area it belongs to: steps of the janitor."""

from datetime import timedelta

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.contracts import objects
from parlance.contracts.bus import streams
from parlance.runtime import store as stores
from parlance.runtime.clock import Clock
from parlance.runtime.listings import Rolling
from parlance.runtime.store import Store, StoredObject
from sqlmodel import col

OBJECTS_PER_PASS = 1000
ROWS_PER_PASS = 1000
IDEMPOTENCY_HOURS = 24
TOMBSTONE_SECONDS = streams.EVENTS.max_age_seconds + 24 * 3600
"""No event of a deleted subject is left on the bus by then."""


class StagedUploads:
    """Uploads that ended before their company was known, or whose API died."""

    def __init__(self, store: Store, clock: Clock, *, orphan_seconds: float) -> None:
        self._store = store
        self._clock = clock
        self._orphan_age = timedelta(seconds=orphan_seconds)
        self._staged = Rolling(lambda: store.list(objects.STAGING_PREFIX), OBJECTS_PER_PASS)
        self._of_old = Rolling(lambda: store.list(objects.OLD_STAGING_PREFIX), OBJECTS_PER_PASS)

    async def delete(self) -> int:
        """Looks at a part of what is staged per pass. Returns how many were deleted."""
        staged = await self._staged.next_part()
        staged += [
            stored
            for stored in await self._of_old.next_part()
            if objects.is_old_staging_key(stored.key)
        ]
        left_behind = [stored.key for stored in staged if self._is_old(stored)]
        for key in left_behind:
            await self._store.delete(key)
        return len(left_behind)

    def _is_old(self, stored: StoredObject) -> bool:
        return stores.age_of(stored, self._clock.now()) > self._orphan_age


class ExpiredRows:
    """Rows past their retention time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def delete_idempotency_keys(self) -> int:
        cutoff = self._clock.now() - timedelta(hours=IDEMPOTENCY_HOURS)
        table = tables.IdempotencyKey
        old = (
            sa.select(col(table.company_id), col(table.key))
            .where(col(table.created_at) < cutoff)
            .limit(ROWS_PER_PASS)
        )
        both = sa.tuple_(col(table.company_id), col(table.key))
        return await self._delete(sa.delete(table).where(both.in_(old)))

    async def delete_tombstones(self) -> int:
        cutoff = self._clock.now() - timedelta(seconds=TOMBSTONE_SECONDS)
        table = tables.Deletion
        old = (
            sa.select(col(table.kind), col(table.subject_id))
            .where(col(table.finished_at) < cutoff)
            .limit(ROWS_PER_PASS)
        )
        both = sa.tuple_(col(table.kind), col(table.subject_id))
        return await self._delete(sa.delete(table).where(both.in_(old)))

    async def _delete(self, statement: sa.Delete) -> int:
        async with self._database.system_session() as session:
            result = await session.execute(statement)
        return int(getattr(result, "rowcount", 0))
