"""Deleting a call: its rows at once, and then its CallJob, its objects and its events.

`delete_call` runs in the transaction of the request; `outbox.deletions` calls `CallDeletions`.
"""

import uuid

from parlance.api.db import tables
from parlance.api.domain.calls import jobs
from parlance.api.domain.calls.locking import lock_call
from parlance.api.outbox import deletions
from parlance.api.outbox.deletions import Target
from parlance.contracts import ids, objects
from parlance.contracts.bus import subjects
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.bus.subjects import Kind
from parlance.runtime.bus import Bus
from parlance.runtime.kube import Kube
from parlance.runtime.store import Store
from sqlalchemy.ext.asyncio import AsyncSession


async def delete_call(
    session: AsyncSession, company_id: uuid.UUID, call_id: uuid.UUID, *, actor: str
) -> bool:
    """Delete the call's rows and note what is left to do outside. False when the company has no
    such call."""
    call = await lock_call(session, company_id, call_id)
    if call is None:
        return False
    await deletions.add(
        session,
        company_id=company_id,
        kind=Kind.CALL,
        subject_id=call_id,
        resource_name=jobs.format_name(call),
    )
    session.add(
        tables.AuditEntry(
            company_id=company_id, actor=actor, action="call.deleted", subject=str(call_id)
        )
    )
    await session.delete(call)  # segments and insights go with it
    await session.flush()
    return True


async def is_deleted(session: AsyncSession, company_id: uuid.UUID, call_id: uuid.UUID) -> bool:
    """Whether the company had this call and deleted it."""
    return await deletions.is_deleted(session, company_id, Kind.CALL, call_id)


class CallDeletions:
    """What a deleted call leaves outside Postgres: the handler of calls in `outbox.deletions`."""

    kind = Kind.CALL

    def __init__(self, kube: Kube, store: Store, bus: Bus) -> None:
        self._kube = kube
        self._store = store
        self._bus = bus

    async def delete_outside(self, target: Target) -> bool:
        """End the work first, then delete what it made. Returns whether the CallJob is gone."""
        assert target.resource_name is not None  # noted by `delete_call`
        call_id = ids.parse_call_id(str(target.subject_id))
        if target.is_first_pass:
            await self._bus.put_control(call_id, ControlAction.CANCEL)
        await self._kube.delete_calljob(target.resource_name)
        await self._store.delete_prefix(objects.format_call_prefix(target.company, call_id))
        await self._bus.purge_events(subjects.format_events_of(target.company, Kind.CALL, call_id))
        return await self._kube.get_calljob(target.resource_name) is None
