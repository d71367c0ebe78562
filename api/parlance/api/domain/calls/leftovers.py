"""What the recorder's janitor has to know of calls.

`CallOwners` tells `recorder.orphans` which calls are known; `DeletedCallJobs` is a step of its own.
"""

import uuid
from collections.abc import Collection

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.contracts import ids
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.ids import CallId, CompanySlug
from parlance.contracts.objects import Owner
from parlance.runtime.kube import Kube
from parlance.runtime.listings import Rolling
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

JOBS_PER_PASS = 1000


class CallOwners:
    """Which calls that have objects in the store are known somewhere."""

    kind = Kind.CALL

    def __init__(self, kube: Kube) -> None:
        self._kube = kube

    async def find_known(self, session: AsyncSession, owners: Collection[Owner]) -> set[Owner]:
        """Those that have a row."""
        call, company = tables.Call, tables.Company
        query = (
            sa.select(col(call.id), col(company.slug))
            .join(company, col(company.id) == col(call.company_id))
            .where(col(call.id).in_([uuid.UUID(owner.subject_id) for owner in owners]))
        )
        return {
            Owner(CompanySlug(slug), Kind.CALL, str(call_id))
            for call_id, slug in await session.execute(query)
        }

    async def find_requested(self, owners: Collection[Owner]) -> set[Owner]:
        """Those that a CallJob in the cluster stands for, finished ones included."""
        wanted = {owner.subject_id: owner for owner in owners}
        found = set()
        async for job in self._kube.iterate_calljobs(is_metadata_only=True):
            owner = wanted.get(_call_of(job["metadata"]))
            if owner is not None:
                found.add(owner)
        return found


class DeletedCallJobs:
    """CallJobs that were created in the very moment in which their call was deleted."""

    def __init__(self, database: Database, kube: Kube) -> None:
        self._database = database
        self._kube = kube
        self._jobs = Rolling(lambda: kube.iterate_calljobs(is_metadata_only=True), JOBS_PER_PASS)

    async def delete(self) -> int:
        """Looks at a part of all CallJobs per pass. Returns how many were deleted."""
        names: dict[uuid.UUID, str] = {}
        for job in await self._jobs.next_part():
            names[uuid.UUID(_call_of(job["metadata"]))] = job["metadata"]["name"]
        query = sa.select(col(tables.Deletion.subject_id)).where(
            col(tables.Deletion.kind) == Kind.CALL,
            col(tables.Deletion.subject_id).in_(list(names)),
            col(tables.Deletion.finished_at).is_not(None),
        )
        async with self._database.system_session() as session:
            deleted = (await session.scalars(query)).all()
        return sum([await self._kube.delete_calljob(names[call_id]) for call_id in deleted])


def _call_of(metadata: dict[str, str]) -> CallId:
    return ids.parse_calljob_identity(metadata["name"], metadata["uid"])
