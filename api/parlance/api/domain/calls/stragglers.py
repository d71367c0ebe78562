"""Finds calls that have been open for long and asks the cluster what became of them.

Events tell the recorder everything, but events can be lost (all of the bus) and so can CallJobs
(all of the cluster). Postgres is the truth about what is still wanted, so a call whose job is gone
is handed to the outbox again, and an end whose event was lost is read from the job. Called by
`process` with the janitor.
"""

import uuid
from datetime import timedelta

import sqlalchemy as sa
import structlog
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.domain.calls import jobs
from parlance.api.domain.calls.locking import lock_call
from parlance.api.domain.calls.results.applier import CallApplier
from parlance.contracts import ids
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.calls import CallStatus, Stage
from parlance.contracts.crs.meta import ConditionType, Reason
from parlance.contracts.crs.v1alpha1.calljob import CallJob
from parlance.contracts.ids import CompanySlug
from parlance.contracts.problems import Problem
from parlance.runtime.bus import Bus
from parlance.runtime.clock import Clock
from parlance.runtime.errors import Retryable
from parlance.runtime.kube import Kube
from prometheus_client import Counter
from sqlmodel import col

_log = structlog.get_logger(__name__)
_FOUND = Counter("parlance_stragglers", "Calls open for long, by what was found.", ["found"])

QUIET_SECONDS = 600.0
"""Longer than any way from a job's end to its row."""
CALLS_PER_PASS = 50


class Stragglers:
    """Looks at a part of the open calls per pass, in order of id, and starts anew at the end."""

    def __init__(
        self, database: Database, kube: Kube, bus: Bus, applier: CallApplier, clock: Clock
    ) -> None:
        self._database = database
        self._kube = kube
        self._bus = bus
        self._applier = applier
        self._clock = clock
        self._after = uuid.UUID(int=0)

    async def run_pass(self) -> None:
        """Raises Retryable faults; what was looked at before stays done."""
        found = await self._find()
        self._after = found[-1][0].id if len(found) == CALLS_PER_PASS else uuid.UUID(int=0)
        for call, company in found:
            try:
                await self._look_at(call, company)
            except Retryable:
                raise
            # Top of a loop: one call that cannot be looked at must not hide those behind it.
            except Exception:  # noqa: BLE001 - the reason stands above
                _FOUND.labels("failed").inc()
                _log.exception("straggler not looked at", call=str(call.id))

    async def _find(self) -> list[tuple[tables.Call, CompanySlug]]:
        call, row = tables.Call, tables.OutboxRow
        waiting = (
            sa.select(col(row.id))
            .where(col(row.kind) == Kind.CALL, col(row.subject_id) == col(call.id))
            .exists()
        )
        query = (
            sa.select(call, col(tables.Company.slug))
            .join(tables.Company, col(tables.Company.id) == col(call.company_id))
            .where(
                col(call.id) > self._after,
                col(call.status).in_([CallStatus.QUEUED, CallStatus.PROCESSING]),
                col(call.updated_at) < self._clock.now() - timedelta(seconds=QUIET_SECONDS),
                ~waiting,
            )
            .order_by(col(call.id))
            .limit(CALLS_PER_PASS)
        )
        async with self._database.system_session() as session:
            return [(found, CompanySlug(slug)) for found, slug in await session.execute(query)]

    async def _look_at(self, call: tables.Call, company: CompanySlug) -> None:
        manifest = await self._kube.get_calljob(jobs.format_name(call))
        if manifest is None and call.source is not tables.CallSource.KUBECTL:
            await self._dispatch_again(call, company)
            return
        job = CallJob.model_validate(manifest) if manifest is not None else None
        verdict = build_verdict(call, company, job)
        if verdict is None:
            _FOUND.labels("running").inc()
            return
        _FOUND.labels("unheard").inc()
        _log.warning("the end of a call was not recorded", call=str(call.id), verdict=verdict.type)
        await self._applier.apply(verdict)
        await self._bus.publish_event(verdict)

    async def _dispatch_again(self, call: tables.Call, company: CompanySlug) -> None:
        _FOUND.labels("lost").inc()
        _log.warning("CallJob is gone, dispatching again", call=str(call.id))
        async with self._database.company_session(call.company_id) as session:
            current = await lock_call(session, call.company_id, call.id)
            if current is None or current.status.is_terminal:
                return
            current.status = CallStatus.QUEUED
            # A new CallJob counts its attempts from one again.
            current.attempt = 0
            current.updated_at = self._clock.now()
            jobs.add(session, current, company)


def build_verdict(call: tables.Call, company: CompanySlug, job: CallJob | None) -> Envelope | None:
    """What ended the job, as the event that should have told; None while it runs. A job made with
    kubectl that is gone was taken away by whoever made it."""
    data: call_events.Failed | call_events.Cancelled
    if job is None:
        data = call_events.Cancelled(message="The CallJob was deleted.")
    else:
        ended = next(
            (
                condition
                for condition in job.status.conditions
                if condition.type is ConditionType.FAILED and condition.status == "True"
            ),
            None,
        )
        if ended is None:
            return None
        if ended.reason == Reason.CANCELLED:
            data = call_events.Cancelled(reason=ended.reason, message=ended.message)
        else:
            failure = job.status.failure
            data = call_events.Failed(
                reason=ended.reason,
                code=Problem.INFERENCE_FAILED.code,
                message=ended.message,
                stage=Stage.TRANSCRIBE,
                retryable=failure.retryable if failure else False,
            )
    return call_events.build_event(
        data,
        company=company,
        call_id=ids.parse_call_id(str(call.id)),
        attempt=max(call.attempt, job.status.attempts if job else 0),
    )
