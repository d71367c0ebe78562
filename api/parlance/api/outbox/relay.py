"""Turns outbox rows into CallJobs. The recorder polls; the API relays its own calls at once.

A row is locked from before its CallJob is created until the row is deleted, in one transaction.
So a call that is deleted meanwhile waits for us and then finds the CallJob, and two relays never
hold the same row. If we die in between, the row is still there and the next try finds the CallJob
existing already, which counts as done: its name is the call's id.
"""

import asyncio
import random
import uuid
from datetime import timedelta
from enum import StrEnum

import sqlalchemy as sa
import structlog
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.outbox.window import INLINE_SHARE, AdmissionWindow
from parlance.contracts import ids
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.calls import CallStatus, Stage
from parlance.contracts.crs.meta import Reason
from parlance.contracts.ids import CompanySlug
from parlance.contracts.problems import Problem
from parlance.runtime.bus import Bus
from parlance.runtime.clock import Clock
from parlance.runtime.errors import KubeRejected, Retryable
from parlance.runtime.kube import Kube
from prometheus_client import Counter, Gauge
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

_log = structlog.get_logger(__name__)
_RELAYED = Counter("parlance_outbox_relayed", "Outbox rows worked on, by outcome.", ["outcome"])
_WAITING = Gauge("parlance_outbox_rows", "Rows waiting in the outbox.")
_OLDEST = Gauge("parlance_outbox_oldest_seconds", "Age of the oldest row in the outbox.")

INLINE_PARALLEL = 4
INLINE_SECONDS = 5.0
"""The fast path holds a database connection while it talks to the cluster. These two keep a slow
cluster from taking all connections away from requests."""
FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 60.0
_INVALID_STATUSES = (400, 422)
"""Refusals of the object itself; others (403, 404) end once an administrator mends the cluster."""


class Outcome(StrEnum):
    """What became of one row."""

    CREATED = "created"
    EXISTED = "existed"
    UNWANTED = "unwanted"
    """The call is finished or gone."""
    REFUSED = "refused"
    LATER = "later"

    @property
    def is_settled(self) -> bool:
        return self in (Outcome.CREATED, Outcome.EXISTED, Outcome.UNWANTED)


class Relay:
    """Creates CallJobs for committed calls. One per process."""

    def __init__(
        self,
        database: Database,
        kube: Kube,
        bus: Bus,
        clock: Clock,
        *,
        max_live_jobs: int,
        inline_seconds: float = INLINE_SECONDS,
    ) -> None:
        self._database = database
        self._kube = kube
        self._bus = bus
        self._clock = clock
        self._window = AdmissionWindow(kube, clock, max_live_jobs=max_live_jobs)
        self._inline_seconds = inline_seconds
        self._inline_slots = asyncio.Semaphore(INLINE_PARALLEL)

    async def relay_call(self, call_id: uuid.UUID) -> bool:
        """The fast path right after the commit. False leaves the row to the recorder: the window
        is nearly full, somebody else holds the row, or the cluster is away. Never raises for
        these."""
        try:
            async with asyncio.timeout(self._inline_seconds), self._inline_slots:
                if await self._window.count_room(INLINE_SHARE) == 0:
                    return False
                condition = col(tables.OutboxRow.subject_id) == call_id
                return await self._relay(condition, limit=1) == 1
        except (Retryable, TimeoutError) as fault:
            _log.info("call left to the recorder", call=str(call_id), problem=repr(fault))
            return False

    async def relay_batch(self, limit: int) -> int:
        """Relay up to `limit` due rows, most urgent first. Returns how many were settled."""
        room = await self._window.count_room()
        if room == 0:
            return 0
        due = col(tables.OutboxRow.next_at) <= self._clock.now()
        return await self._relay(due, limit=min(limit, room))

    async def measure(self) -> None:
        """Bring the gauges up to date."""
        query = sa.select(sa.func.count(), sa.func.min(col(tables.OutboxRow.created_at)))
        async with self._database.system_session() as session:
            waiting, oldest = (await session.execute(query)).one()
        _WAITING.set(waiting)
        _OLDEST.set((self._clock.now() - oldest).total_seconds() if oldest else 0)

    async def _relay(self, condition: sa.ColumnElement[bool], *, limit: int) -> int:
        async with self._database.system_session() as session:
            rows = await _lock_rows(session, condition, limit)
            if not rows:
                return 0
            wanted = await _find_wanted(session, rows)
            outcomes = await asyncio.gather(
                *(self._create(row, is_wanted=row.subject_id in wanted) for row in rows)
            )
            for row, outcome in zip(rows, outcomes, strict=True):
                await self._settle(session, row, outcome)
        self._window.note_created(outcomes.count(Outcome.CREATED))
        return sum(outcome.is_settled for outcome in outcomes)

    async def _create(self, row: tables.OutboxRow, *, is_wanted: bool) -> Outcome:
        if not is_wanted:
            return Outcome.UNWANTED
        try:
            is_new = await self._kube.create_calljob(dict(row.payload))
        except KubeRejected as refusal:
            await self._report_refusal(row, refusal)
            return Outcome.REFUSED
        except Retryable as fault:
            _log.warning("CallJob not created", call=str(row.subject_id), problem=str(fault))
            return Outcome.LATER
        return Outcome.CREATED if is_new else Outcome.EXISTED

    async def _settle(self, session: AsyncSession, row: tables.OutboxRow, outcome: Outcome) -> None:
        _RELAYED.labels(outcome).inc()
        if outcome.is_settled:
            await session.delete(row)
            return
        row.attempts += 1
        row.next_at = self._clock.now() + plan_backoff(row.attempts)

    async def _report_refusal(self, row: tables.OutboxRow, refusal: KubeRejected) -> None:
        """A CallJob that can never be created fails its call. The recorder hears it like any
        failure, ends the call and removes the outbox row; until then the row stays."""
        _log.error("CallJob refused", call=str(row.subject_id), status=refusal.status)
        if refusal.status not in _INVALID_STATUSES:
            return
        failed = call_events.Failed(
            reason=Reason.INVALID_INPUT,
            code=Problem.INTERNAL.code,
            message="The job could not be created in the cluster.",
            stage=Stage.TRANSCRIBE,
            retryable=False,
        )
        event = call_events.build_event(
            failed,
            company=CompanySlug(_company_of(row)),
            call_id=ids.parse_call_id(str(row.subject_id)),
            attempt=0,
        )
        try:
            await self._bus.publish_event(event)
        except Retryable as fault:  # the row stays, so the next try says it again
            _log.warning("refusal not reported", call=str(row.subject_id), problem=str(fault))


def plan_backoff(attempts: int) -> timedelta:
    """Doubles up to a minute; the random half keeps rows from coming back all at once."""
    longest = min(MAX_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(attempts, 16))
    return timedelta(seconds=longest * random.uniform(0.5, 1.0))  # noqa: S311 - no secret


async def _lock_rows(
    session: AsyncSession, condition: sa.ColumnElement[bool], limit: int
) -> list[tables.OutboxRow]:
    row = tables.OutboxRow
    query = (
        sa.select(row)
        .where(condition, col(row.kind) == Kind.CALL)
        .order_by(col(row.priority), col(row.created_at), col(row.id))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list((await session.scalars(query)).all())


async def _find_wanted(session: AsyncSession, rows: list[tables.OutboxRow]) -> set[uuid.UUID]:
    """Calls that still wait for their job."""
    query = sa.select(col(tables.Call.id)).where(
        col(tables.Call.id).in_([row.subject_id for row in rows]),
        col(tables.Call.status) == CallStatus.QUEUED,
    )
    return set((await session.scalars(query)).all())


def _company_of(row: tables.OutboxRow) -> str:
    spec = row.payload["spec"]
    assert isinstance(spec, dict)
    return str(spec["company"])
