"""Deleting a call: first the row, in one transaction with the note of what is left to do; then
the CallJob, the objects and the events.

`mark` is called by the API in its transaction, `Eraser` right after it (API) and until it is done
(recorder). Every step may be repeated. The note stays behind as a tombstone for longer than the
bus keeps events, so that nothing can bring the call back.
"""

import asyncio
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.outbox import relay
from parlance.api.outbox import rows as outbox
from parlance.contracts import ids, objects
from parlance.contracts.bus import subjects
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.ids import CompanySlug
from parlance.runtime.bus import Bus
from parlance.runtime.clock import Clock
from parlance.runtime.errors import Retryable
from parlance.runtime.kube import Kube
from parlance.runtime.store import Store
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

_log = structlog.get_logger(__name__)
_ERASED = Counter("parlance_deletions", "Passes over deleted calls, by outcome.", ["outcome"])

SETTLE_SECONDS = 120.0
"""A worker that was in the middle may still write for a window or a heartbeat after the job is
gone; only a pass later than this counts as the last one."""
REPEAT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Target:
    """What to erase."""

    call_id: uuid.UUID
    company_id: uuid.UUID
    company: CompanySlug
    calljob_name: str
    created_at: datetime
    attempts: int


async def mark(
    session: AsyncSession, company_id: uuid.UUID, call_id: uuid.UUID, *, actor: str
) -> bool:
    """Delete the call's rows and note the rest. False when the company has no such call."""
    call = await session.scalar(
        sa.select(tables.Call)
        .where(col(tables.Call.company_id) == company_id, col(tables.Call.id) == call_id)
        .with_for_update()
    )
    if call is None:
        return False
    await outbox.withdraw(session, company_id, call_id)
    session.add(
        tables.Deletion(
            kind=Kind.CALL,
            subject_id=call_id,
            company_id=company_id,
            resource_name=format_calljob_name(call),
        )
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
    query = sa.select(col(tables.Deletion.subject_id)).where(
        col(tables.Deletion.company_id) == company_id,
        col(tables.Deletion.kind) == Kind.CALL,
        col(tables.Deletion.subject_id) == call_id,
    )
    return await session.scalar(query) is not None


def format_calljob_name(call: tables.Call) -> str:
    return call.calljob_name or ids.format_calljob_name(ids.parse_call_id(str(call.id)))


class Eraser:
    """Removes what deleted calls left outside Postgres."""

    def __init__(
        self, database: Database, kube: Kube, store: Store, bus: Bus, clock: Clock
    ) -> None:
        self._database = database
        self._kube = kube
        self._store = store
        self._bus = bus
        self._clock = clock

    async def erase_call(self, company_id: uuid.UUID, call_id: uuid.UUID) -> None:
        """The first pass, right after the commit. What fails is left to the recorder."""
        condition = sa.and_(
            col(tables.Deletion.company_id) == company_id,
            col(tables.Deletion.kind) == Kind.CALL,
            col(tables.Deletion.subject_id) == call_id,
        )
        try:
            await self._erase(condition, limit=1)
        except Retryable as fault:
            _log.info("deletion left to the recorder", call=str(call_id), problem=str(fault))

    async def erase_due(self, limit: int = 32) -> int:
        """One pass over open deletions that are due. Returns how many there were."""
        return await self._erase(col(tables.Deletion.next_at) <= self._clock.now(), limit=limit)

    async def _erase(self, condition: sa.ColumnElement[bool], *, limit: int) -> int:
        targets = await self._claim(condition, limit)
        await asyncio.gather(*(self._pass_over(target) for target in targets))
        return len(targets)

    async def _claim(self, condition: sa.ColumnElement[bool], limit: int) -> list[_Target]:
        """Put the next pass off before this one: if we die, somebody else takes it up then. No
        lock is held while objects are deleted, which may take long."""
        row = tables.Deletion
        query = (
            sa.select(row, col(tables.Company.slug))
            .join(tables.Company, col(tables.Company.id) == col(row.company_id))
            .where(condition, col(row.finished_at).is_(None))
            .order_by(col(row.next_at))
            .limit(limit)
            .with_for_update(of=row, skip_locked=True)
        )
        async with self._database.system_session() as session:
            found = (await session.execute(query)).all()
            for deletion, _ in found:
                deletion.attempts += 1
                backoff = relay.plan_backoff(deletion.attempts)
                deletion.next_at = self._clock.now() + backoff + timedelta(seconds=REPEAT_SECONDS)
        return [
            _Target(
                call_id=deletion.subject_id,
                company_id=deletion.company_id,
                company=CompanySlug(slug),
                calljob_name=deletion.resource_name or "",
                created_at=deletion.created_at,
                attempts=deletion.attempts,
            )
            for deletion, slug in found
        ]

    async def _pass_over(self, target: _Target) -> None:
        try:
            is_gone = await self._remove_outside(target)
        except Retryable as fault:
            _ERASED.labels("later").inc()
            _log.warning("deletion goes on later", call=str(target.call_id), problem=str(fault))
            return
        age_seconds = (self._clock.now() - target.created_at).total_seconds()
        if not is_gone or age_seconds < SETTLE_SECONDS:
            _ERASED.labels("again").inc()
            return
        _ERASED.labels("finished").inc()
        async with self._database.company_session(target.company_id) as session:
            await session.execute(
                sa.update(tables.Deletion)
                .where(
                    col(tables.Deletion.company_id) == target.company_id,
                    col(tables.Deletion.kind) == Kind.CALL,
                    col(tables.Deletion.subject_id) == target.call_id,
                )
                .values(finished_at=self._clock.now())
            )

    async def _remove_outside(self, target: _Target) -> bool:
        """Stop the work first, then remove what it made. Returns whether the CallJob is gone."""
        call_id = ids.parse_call_id(str(target.call_id))
        if target.attempts == 1:
            await self._bus.put_control(call_id, ControlAction.CANCEL)
        await self._kube.delete_calljob(target.calljob_name)
        await self._store.delete_prefix(objects.format_call_prefix(target.company, call_id))
        await self._bus.purge_events(subjects.format_events_of(target.company, Kind.CALL, call_id))
        return await self._kube.get_calljob(target.calljob_name) is None
