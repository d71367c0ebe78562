"""Objects that belong to nothing we know: a step of the janitor.

An object without a row may be the rest of an upload that died, and it may be all that is left of a
call: its row is still to be written from an event, or was newer than the backup that the database
was restored from. Only the first may be deleted. So an owner of objects that has no row is deleted
at once when it has a tombstone; otherwise it becomes a suspect, and its objects are deleted only
when all of this holds (docs/decisions/0009-orphan-objects.md):

1. It has been a suspect for `SUSPECT_SECONDS` by the memory of this very database.
2. No event on the bus and no custom resource speaks of it, and none of its objects is new.
3. There are not more suspects than `max_suspects`: so many at once are a restored database, or a
   fault of ours.
"""

import uuid
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta
from typing import Protocol

import structlog
from parlance.api.db.companies import Companies
from parlance.api.db.session import Database
from parlance.api.outbox import deletions
from parlance.api.recorder import suspects
from parlance.api.recorder.suspects import Suspect
from parlance.contracts import objects
from parlance.contracts.bus import streams, subjects
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.ids import CompanySlug
from parlance.contracts.objects import Owner
from parlance.runtime import store as stores
from parlance.runtime.bus import Bus
from parlance.runtime.clock import Clock
from parlance.runtime.listings import Rolling
from parlance.runtime.store import Store, StoredObject
from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncSession

_log = structlog.get_logger(__name__)
_SUSPECTS = Gauge("parlance_orphan_suspects", "Owners of objects that have no row.")
_IS_HELD = Gauge("parlance_orphans_held", "1 while too many suspects keep all of them safe.")

OBJECTS_PER_PASS = 1000
SUSPECTS_PER_PASS = 100
SUSPECT_SECONDS = streams.EVENTS.max_age_seconds
"""As long as the bus keeps events: what was published since is still there to be found."""


class Owners(Protocol):
    """What an area knows of the owners of its objects (`domain.calls.leftovers`)."""

    @property
    def kind(self) -> Kind: ...

    async def find_known(self, session: AsyncSession, owners: Collection[Owner]) -> set[Owner]:
        """Those that have a row."""
        ...

    async def find_requested(self, owners: Collection[Owner]) -> set[Owner]:
        """Those that a custom resource asks for. Raises Retryable."""
        ...


class OrphanObjects:
    """Goes through the whole store, a part per pass. Several processes are harmless."""

    def __init__(
        self,
        database: Database,
        store: Store,
        bus: Bus,
        clock: Clock,
        areas: Iterable[Owners],
        *,
        orphan_seconds: float,
        max_suspects: int,
    ) -> None:
        self._database = database
        self._store = store
        self._bus = bus
        self._clock = clock
        self._areas = {area.kind: area for area in areas}
        self._companies = Companies(database)
        self._orphan_age = timedelta(seconds=orphan_seconds)
        self._max_suspects = max_suspects
        self._objects = Rolling(lambda: store.list(""), OBJECTS_PER_PASS)
        self._after = suspects.FIRST
        self._is_held = False

    async def delete(self) -> int:
        """One pass. Returns how many objects were deleted."""
        deleted = await self._look_at_objects()
        return deleted + await self._look_at_suspects()

    # --- objects without a row ----------------------------------------------------------------

    async def _look_at_objects(self) -> int:
        """Delete what has a tombstone, and remember who else has no row."""
        keys_of = self._group_old(await self._objects.next_part())
        company_ids = await self._find_companies(keys_of)
        owners = [owner for owner in keys_of if owner.company in company_ids]
        now = self._clock.now()
        async with self._database.system_session() as session:
            known = await self._find_known(session, owners)
            found = [
                Suspect(owner, company_ids[owner.company], now)
                for owner in owners
                if owner not in known
            ]
            deleted = await deletions.find_deleted(session, [each.key for each in found])
            await suspects.add(session, (each for each in found if each.key not in deleted))
        keys = [key for each in found if each.key in deleted for key in keys_of[each.owner]]
        for key in keys:
            await self._store.delete(key)
        return len(keys)

    def _group_old(self, found: Iterable[StoredObject]) -> dict[Owner, list[str]]:
        keys_of: dict[Owner, list[str]] = {}
        for stored in found:
            owner = _parse_owner(stored.key)
            if owner is not None and owner.kind in self._areas and not self._is_new(stored):
                keys_of.setdefault(owner, []).append(stored.key)
        return keys_of

    async def _find_companies(self, owners: Iterable[Owner]) -> dict[CompanySlug, uuid.UUID]:
        """What lies in the folder of a company that is not known here is left alone."""
        found = {}
        for slug in {owner.company for owner in owners}:
            company_id = await self._companies.find_id(slug)
            if company_id is not None:
                found[slug] = company_id
        return found

    # --- suspects -----------------------------------------------------------------------------

    async def _look_at_suspects(self) -> int:
        """Clear those that are known after all, and delete the objects of those whose time is up
        unless somebody speaks of them."""
        async with self._database.system_session() as session:
            batch = await suspects.fetch_batch(
                session, self._areas, after=self._after, limit=SUSPECTS_PER_PASS
            )
            known = await self._find_known(session, [suspect.owner for suspect in batch])
            total = await suspects.count(session)
        self._after = batch[-1].key if len(batch) == SUSPECTS_PER_PASS else suspects.FIRST
        still = [
            suspect
            for suspect in batch
            if suspect.owner not in known and await self._has_only_old_objects(suspect.owner)
        ]
        self._note_total(total - len(batch) + len(still))
        due = [] if self._is_held else [suspect for suspect in still if self._is_due(suspect)]
        alive = await self._find_alive([suspect.owner for suspect in due])
        orphans = [suspect for suspect in due if suspect.owner not in alive]
        count = 0
        for orphan in orphans:
            count += await self._delete_objects(orphan)
        kept = [each for each in still if each not in due]
        async with self._database.system_session() as session:
            await suspects.clear(session, [each for each in batch if each not in kept])
        return count

    async def _has_only_old_objects(self, owner: Owner) -> bool:
        found = [stored async for stored in self._store.list(owner.prefix)]
        return bool(found) and not any(self._is_new(stored) for stored in found)

    async def _find_alive(self, owners: Sequence[Owner]) -> set[Owner]:
        """Those that an event or a custom resource speaks of. Raises Retryable when that cannot be
        found out."""
        alive = {owner for owner in owners if await self._has_events(owner)}
        for kind, area in self._areas.items():
            asked = [owner for owner in owners if owner.kind == kind]
            if asked:
                alive |= await area.find_requested(asked)
        return alive

    async def _has_events(self, owner: Owner) -> bool:
        subject = subjects.format_events_of(owner.company, owner.kind, owner.subject_id)
        async for _ in self._bus.read_events(subject):
            return True
        return False

    async def _delete_objects(self, orphan: Suspect) -> int:
        count = await self._store.delete_prefix(orphan.owner.prefix)
        _log.info(
            "orphan deleted",
            prefix=orphan.owner.prefix,
            objects=count,
            first_seen_at=orphan.first_seen_at.isoformat(),
        )
        return count

    def _note_total(self, total: int) -> None:
        """Decide whether there are too many, and tell it when that changes."""
        was_held, self._is_held = self._is_held, total > self._max_suspects
        _SUSPECTS.set(total)
        _IS_HELD.set(self._is_held)
        if self._is_held and not was_held:
            _log.error(
                "objects without a row are kept: too many at once; if the database was restored, "
                "these are what it has lost; otherwise raise PARLANCE_MAX_ORPHAN_SUSPECTS",
                suspects=total,
                limit=self._max_suspects,
            )

    def _is_due(self, suspect: Suspect) -> bool:
        age = self._clock.now() - suspect.first_seen_at
        return age >= timedelta(seconds=SUSPECT_SECONDS)

    def _is_new(self, stored: StoredObject) -> bool:
        return stores.age_of(stored, self._clock.now()) <= self._orphan_age

    async def _find_known(self, session: AsyncSession, owners: Collection[Owner]) -> set[Owner]:
        known: set[Owner] = set()
        for kind, area in self._areas.items():
            asked = [owner for owner in owners if owner.kind == kind]
            if asked:
                known |= await area.find_known(session, asked)
        return known


def _parse_owner(key: str) -> Owner | None:
    """None for what lies elsewhere or below a name that is no id: somebody else put it there."""
    owner = objects.parse_owner(key)
    try:
        is_ours = owner is not None and str(uuid.UUID(owner.subject_id)) == owner.subject_id
    except ValueError:
        return None
    return owner if is_ours else None
