"""Deleting something: first its rows, in one transaction with the note of what is left to do; then
whatever it has outside Postgres.

An area notes the deletion in the transaction that deletes its rows (`domain.calls.deleting`).
`Deleter` removes what lies outside right after it (API) and until nothing is left (recorder), with
the handler of the kind. Every step may be repeated. The note stays behind as a tombstone for longer
than the bus keeps events, so that nothing can bring the subject back.
"""

import asyncio
import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import sqlalchemy as sa
import structlog
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.outbox import rows as outbox
from parlance.api.outbox.backoff import plan_backoff
from parlance.contracts.ids import CompanySlug
from parlance.runtime.clock import Clock
from parlance.runtime.errors import Retryable, RuntimeFault
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

_log = structlog.get_logger(__name__)
_PASSES = Counter(
    "parlance_deletions",
    "Passes over what deleted things left outside, by kind and outcome.",
    ["kind", "outcome"],
)

SETTLE_SECONDS = 120.0
"""A worker that was in the middle may still write for a window or a heartbeat after the job is
gone; only a pass later than this counts as the last one."""
REPEAT_SECONDS = 5.0

Key = tuple[uuid.UUID, str, uuid.UUID]
"""Company, kind, and id of a subject."""


@dataclass(frozen=True, slots=True)
class Target:
    """A deleted subject whose traces outside are to be removed."""

    kind: str
    subject_id: uuid.UUID
    company_id: uuid.UUID
    company: CompanySlug
    resource_name: str | None
    """Of its custom resource; None for kinds that have none."""
    created_at: datetime
    attempts: int

    @property
    def is_first_pass(self) -> bool:
        return self.attempts == 1


class Handler(Protocol):
    """What things of one kind leave outside Postgres."""

    @property
    def kind(self) -> str: ...

    async def delete_outside(self, target: Target) -> bool:
        """End the work, then delete what it made. Returns whether nobody is left who could make
        more. Raises Retryable."""
        ...


async def add(
    session: AsyncSession,
    *,
    company_id: uuid.UUID,
    kind: str,
    subject_id: uuid.UUID,
    resource_name: str | None = None,
) -> None:
    """Note that the subject is deleted and take it out of the outbox. The caller has locked the
    subject's row (the order is in `rows`), and deletes it."""
    await outbox.withdraw(session, company_id, kind, subject_id)
    session.add(
        tables.Deletion(
            kind=kind, subject_id=subject_id, company_id=company_id, resource_name=resource_name
        )
    )


async def is_deleted(
    session: AsyncSession, company_id: uuid.UUID, kind: str, subject_id: uuid.UUID
) -> bool:
    """Whether the company had this and deleted it."""
    return bool(await find_deleted(session, [(company_id, kind, subject_id)]))


async def find_deleted(session: AsyncSession, subjects: Collection[Key]) -> set[Key]:
    """Those that their company had and deleted, with one query."""
    if not subjects:
        return set()
    row = tables.Deletion
    key = sa.tuple_(col(row.company_id), col(row.kind), col(row.subject_id))
    query = sa.select(col(row.company_id), col(row.kind), col(row.subject_id))
    found = await session.execute(query.where(key.in_(subjects)))
    return {(company_id, kind, subject_id) for company_id, kind, subject_id in found}


class Deleter:
    """Deletes what deleted things left outside Postgres. One per process."""

    def __init__(self, database: Database, handlers: Iterable[Handler], clock: Clock) -> None:
        self._database = database
        self._handlers = {str(handler.kind): handler for handler in handlers}
        self._clock = clock

    async def delete_one(self, company_id: uuid.UUID, kind: str, subject_id: uuid.UUID) -> None:
        """The first pass, right after the commit. What fails is left to the recorder."""
        try:
            await self._delete(_is(company_id, kind, subject_id), limit=1)
        except Retryable as fault:
            _log.info(
                "deletion left to the recorder", kind=kind, id=str(subject_id), problem=str(fault)
            )

    async def delete_due(self, limit: int = 32) -> int:
        """One pass over open deletions that are due. Returns how many there were."""
        return await self._delete(col(tables.Deletion.next_at) <= self._clock.now(), limit=limit)

    async def _delete(self, condition: sa.ColumnElement[bool], *, limit: int) -> int:
        targets = await self._claim(condition, limit)
        await asyncio.gather(*(self._pass_over(target) for target in targets))
        return len(targets)

    async def _claim(self, condition: sa.ColumnElement[bool], limit: int) -> list[Target]:
        """Put the next pass off before this one: if we die, somebody else takes it up then. No
        lock is held while objects are deleted, which may take long."""
        row = tables.Deletion
        query = (
            sa.select(row, col(tables.Company.slug))
            .join(tables.Company, col(tables.Company.id) == col(row.company_id))
            .where(condition, col(row.kind).in_(self._handlers), col(row.finished_at).is_(None))
            .order_by(col(row.next_at))
            .limit(limit)
            .with_for_update(of=row, skip_locked=True)
        )
        async with self._database.system_session() as session:
            found = (await session.execute(query)).all()
            for deletion, _ in found:
                deletion.attempts += 1
                backoff = plan_backoff(deletion.attempts)
                deletion.next_at = self._clock.now() + backoff + timedelta(seconds=REPEAT_SECONDS)
        return [_build_target(deletion, slug) for deletion, slug in found]

    async def _pass_over(self, target: Target) -> None:
        subject = {"kind": target.kind, "id": str(target.subject_id)}
        try:
            is_over = await self._handlers[target.kind].delete_outside(target)
        except RuntimeFault as fault:  # a refusal too: an administrator may mend what it lacks
            _PASSES.labels(target.kind, "later").inc()
            _log.warning("deletion goes on later", **subject, problem=str(fault))
            return
        age_seconds = (self._clock.now() - target.created_at).total_seconds()
        if not is_over or age_seconds < SETTLE_SECONDS:
            _PASSES.labels(target.kind, "again").inc()
            return
        _PASSES.labels(target.kind, "finished").inc()
        async with self._database.company_session(target.company_id) as session:
            await session.execute(
                sa.update(tables.Deletion)
                .where(_is(target.company_id, target.kind, target.subject_id))
                .values(finished_at=self._clock.now())
            )


def _is(company_id: uuid.UUID, kind: str, subject_id: uuid.UUID) -> sa.ColumnElement[bool]:
    row = tables.Deletion
    return sa.and_(
        col(row.company_id) == company_id,
        col(row.kind) == kind,
        col(row.subject_id) == subject_id,
    )


def _build_target(deletion: tables.Deletion, slug: str) -> Target:
    return Target(
        kind=deletion.kind,
        subject_id=deletion.subject_id,
        company_id=deletion.company_id,
        company=CompanySlug(slug),
        resource_name=deletion.resource_name,
        created_at=deletion.created_at,
        attempts=deletion.attempts,
    )
