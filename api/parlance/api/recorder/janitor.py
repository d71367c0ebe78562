"""Removes what crashes and hang-ups leave behind, a bounded number of things per pass.

Called by `process` once a minute. Each step stands alone: one that fails is tried next time.
"""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Generic, TypeVar

import sqlalchemy as sa
import structlog
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.contracts import ids, objects
from parlance.contracts.bus import streams
from parlance.contracts.bus.subjects import Kind
from parlance.runtime import store as stores
from parlance.runtime.clock import Clock
from parlance.runtime.errors import Retryable
from parlance.runtime.kube import Kube
from parlance.runtime.store import Store, StoredObject
from prometheus_client import Counter
from sqlmodel import col

_T = TypeVar("_T")

_log = structlog.get_logger(__name__)
_REMOVED = Counter("parlance_janitor_removed", "Things removed, by kind.", ["kind"])
_FAILED = Counter("parlance_janitor_failures", "Steps that could not be finished.", ["kind"])

OBJECTS_PER_PASS = 1000
JOBS_PER_PASS = 1000
ROWS_PER_PASS = 1000
IDEMPOTENCY_HOURS = 24
TOMBSTONE_SECONDS = streams.EVENTS.max_age_seconds + 24 * 3600
"""No event of a deleted call is left on the bus by then."""


class Janitor:
    """One per recorder process; several are harmless."""

    def __init__(
        self,
        database: Database,
        kube: Kube,
        store: Store,
        clock: Clock,
        *,
        orphan_seconds: float,
    ) -> None:
        self._database = database
        self._kube = kube
        self._store = store
        self._clock = clock
        self._orphan_age = timedelta(seconds=orphan_seconds)
        self._objects = _Rolling(lambda: store.list(""), OBJECTS_PER_PASS)
        self._jobs = _Rolling(lambda: kube.iterate_calljobs(is_metadata_only=True), JOBS_PER_PASS)
        self._steps: dict[str, Callable[[], Awaitable[int]]] = {
            "staged_upload": self.remove_staged_uploads,
            "orphan_object": self.remove_orphan_objects,
            "calljob": self.remove_jobs_of_deleted_calls,
            "idempotency_key": self.remove_idempotency_keys,
            "tombstone": self.remove_tombstones,
        }

    async def run_pass(self) -> None:
        """Every step once."""
        for kind, step in self._steps.items():
            try:
                count = await step()
            except Retryable as fault:
                _FAILED.labels(kind).inc()
                _log.warning("janitor step put off", step=kind, problem=str(fault))
                continue
            _REMOVED.labels(kind).inc(count)
            if count:
                _log.info("janitor removed", kind=kind, count=count)

    async def remove_staged_uploads(self) -> int:
        """Uploads that ended before their company was known, or whose API died."""
        found = await _take(self._store.list(objects.STAGING_PREFIX), OBJECTS_PER_PASS)
        old = [stored.key for stored in found if self._is_old(stored)]
        for key in old:
            await self._store.delete(key)
        return len(old)

    async def remove_orphan_objects(self) -> int:
        """Objects of calls that have no row. Goes through the whole store, a part per pass."""
        by_call: dict[uuid.UUID, list[str]] = {}
        for stored in await self._objects.next_part():
            call_id = _parse_owner(stored.key)
            if call_id is not None and self._is_old(stored):
                by_call.setdefault(call_id, []).append(stored.key)
        known = await self._find_calls(by_call)
        orphans = [key for call_id, keys in by_call.items() if call_id not in known for key in keys]
        for key in orphans:
            await self._store.delete(key)
        return len(orphans)

    async def remove_jobs_of_deleted_calls(self) -> int:
        """CallJobs that were created in the very moment their call was deleted."""
        names: dict[uuid.UUID, str] = {}
        for job in await self._jobs.next_part():
            metadata = job["metadata"]
            call_id = ids.parse_calljob_identity(metadata["name"], metadata["uid"])
            names[uuid.UUID(call_id)] = metadata["name"]
        query = sa.select(col(tables.Deletion.subject_id)).where(
            col(tables.Deletion.kind) == Kind.CALL,
            col(tables.Deletion.subject_id).in_(list(names)),
            col(tables.Deletion.finished_at).is_not(None),
        )
        async with self._database.system_session() as session:
            deleted = (await session.scalars(query)).all()
        return sum([await self._kube.delete_calljob(names[call_id]) for call_id in deleted])

    async def remove_idempotency_keys(self) -> int:
        cutoff = self._clock.now() - timedelta(hours=IDEMPOTENCY_HOURS)
        table = tables.IdempotencyKey
        old = (
            sa.select(col(table.company_id), col(table.key))
            .where(col(table.created_at) < cutoff)
            .limit(ROWS_PER_PASS)
        )
        both = sa.tuple_(col(table.company_id), col(table.key))
        return await self._delete(sa.delete(table).where(both.in_(old)))

    async def remove_tombstones(self) -> int:
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

    async def _find_calls(self, call_ids: dict[uuid.UUID, list[str]]) -> set[uuid.UUID]:
        query = sa.select(col(tables.Call.id)).where(col(tables.Call.id).in_(list(call_ids)))
        async with self._database.system_session() as session:
            return set((await session.scalars(query)).all())

    def _is_old(self, stored: StoredObject) -> bool:
        return stores.age_of(stored, self._clock.now()) > self._orphan_age


class _Rolling(Generic[_T]):
    """Goes through a long listing a part at a time, and starts anew after its end or a fault."""

    def __init__(self, begin: Callable[[], AsyncIterator[_T]], part: int) -> None:
        self._begin = begin
        self._part = part
        self._listing: AsyncIterator[_T] | None = None

    async def next_part(self) -> list[_T]:
        listing = self._listing or self._begin()
        self._listing = None
        found = await _take(listing, self._part)
        if len(found) == self._part:
            self._listing = listing
        return found


async def _take(listing: AsyncIterator[_T], limit: int) -> list[_T]:
    found: list[_T] = []
    async for item in listing:
        found.append(item)
        if len(found) == limit:
            break
    return found


def _parse_owner(key: str) -> uuid.UUID | None:
    """The call an object belongs to. What lies elsewhere was put there by somebody else."""
    owner = objects.parse_call_key(key)
    try:
        return uuid.UUID(owner[1]) if owner else None
    except ValueError:
        return None
