"""Messages that the operator sends about a job, built from its object."""

from datetime import datetime

from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus.calls import CallDispatch, CallSource, EventData
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.calls import Stage
from parlance.contracts.crs.meta import Reason
from parlance.contracts.crs.v1alpha1.calljob import CallJob
from parlance.contracts.ids import CompanySlug
from parlance.contracts.problems import Problem

from .facts import OWN_PROGRESS, Facts, RunStage

_CODES = {
    Reason.DEADLINE_EXCEEDED: Problem.DEADLINE_EXCEEDED.code,
    Reason.BACKOFF_LIMIT_EXCEEDED: Problem.WORKER_LOST.code,
}
EVENT_STAGES = {
    RunStage.TRANSCRIBE: Stage.TRANSCRIBE,
    RunStage.INSIGHTS: Stage.INSIGHTS,
    RunStage.STORE: Stage.INSIGHTS,
    RunStage.DONE: Stage.INSIGHTS,
}
"""Clients know the stages of the work only; storing is part of the last one."""


def build_dispatch(job: CallJob, *, attempt: int, now: datetime) -> CallDispatch:
    spec = job.spec
    return CallDispatch(
        **dict(_build_source(job)),
        call_id=job.call_id,
        company=CompanySlug(spec.company),
        attempt=attempt,
        backoff_limit=spec.backoff_limit,
        uid=job.metadata.uid,
        stages=tuple(stage.stage for stage in spec.stages),
        priority=spec.priority_class.priority,
        seconds_left=_count_seconds_left(job, now=now),
        dispatched_at=now,
    )


def _build_source(job: CallJob) -> CallSource:
    spec, metadata = job.spec, job.metadata
    return CallSource(
        name=metadata.name,
        namespace=metadata.namespace,
        object_key=spec.audio.object_key,
        uri=spec.audio.uri,
        sha256=spec.audio.sha256,
        media_type=spec.audio.media_type,
        channels=spec.channels.policy,
        language=spec.language,
    )


def _count_seconds_left(job: CallJob, *, now: datetime) -> float:
    """Until the deadline, which counts from the start of the first attempt."""
    started = job.status.start_time or now
    passed_seconds = (now - started).total_seconds()
    return max(1.0, job.spec.active_deadline_seconds - passed_seconds)


def build_queued(job: CallJob, *, attempt: int, now: datetime) -> Envelope:
    """Carries all that the recorder needs to make the row of a call that came by kubectl."""
    data = call_events.Queued(
        **dict(_build_source(job)),
        uid=job.metadata.uid,
        priority=job.spec.priority_class.priority,
    )
    return _wrap(job, data, attempt=attempt, now=now)


def build_retrying(job: CallJob, reason: Reason, message: str, *, now: datetime) -> Envelope:
    attempt = job.status.attempts
    data = call_events.Retrying(reason=reason, message=message, next_attempt=attempt + 1)
    return _wrap(job, data, attempt=attempt, now=now)


def build_failed(
    job: CallJob, facts: Facts, reason: Reason, message: str, *, now: datetime
) -> Envelope:
    data = call_events.Failed(
        reason=reason,
        code=_CODES[reason],
        message=message,
        stage=EVENT_STAGES[facts.stage],
        retryable=True,
    )
    return _wrap(job, data, attempt=job.status.attempts, now=now)


def build_cancelled(job: CallJob, message: str, *, now: datetime) -> Envelope:
    data = call_events.Cancelled(reason=Reason.CANCELLED, message=message)
    return _wrap(job, data, attempt=max(1, job.status.attempts), now=now)


def build_progress(job: CallJob, facts: Facts, *, now: datetime) -> Envelope:
    data = call_events.Progress(
        percent=facts.percent,
        stage=EVENT_STAGES[facts.stage],
        processed_seconds=facts.processed_seconds,
        total_seconds=facts.total_seconds,
    )
    stage = facts.stage.lower()
    detail = f"{OWN_PROGRESS}.{stage}.{facts.percent}.{facts.processed_seconds:.0f}"
    return _wrap(job, data, attempt=facts.attempt, now=now, detail=detail)


def _wrap(
    job: CallJob, data: EventData, *, attempt: int, now: datetime, detail: str = ""
) -> Envelope:
    return call_events.build_event(
        data,
        company=CompanySlug(job.spec.company),
        call_id=job.call_id,
        attempt=attempt,
        detail=detail,
        at=now,
    )
