"""Jobs, events and facts for the tests of this folder, with everything named that matters."""

from datetime import UTC, datetime, timedelta
from typing import Any

from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus.calls import EventData
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.calls import ModelInfo, Role, Stage
from parlance.contracts.crs.meta import (
    FINALIZER,
    Condition,
    ConditionType,
    Phase,
    Progress,
    Reason,
)
from parlance.contracts.crs.v1alpha1.calljob import (
    Audio,
    CallJob,
    CallJobSpec,
    CallJobStatus,
    Dispatch,
    ObjectMeta,
)
from parlance.contracts.ids import CallId, CompanySlug
from parlance.operator.planning.facts import Facts
from parlance.operator.planning.observed import Observed
from parlance.operator.planning.steps import Plan

LOOK_FIRST = Plan(needs_truth=True)
T0 = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
BUS = "2026-01-01T00:00:00+00:00"
CALL = CallId("0190a000-0000-7000-8000-000000000001")
UID = "0190b000-0000-4000-8000-000000000001"
COMPANY = CompanySlug("acme")
MODEL = ModelInfo(name="tiny", hash="f" * 64)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def condition(
    type_: ConditionType,
    value: str,
    reason: str,
    message: str = "",
    *,
    since: datetime = T0,
) -> Condition:
    return Condition(
        type=type_,
        status=value,
        reason=reason,
        message=message,
        last_transition_time=since,
        observed_generation=1,
    )


ACCEPTED = condition(ConditionType.ACCEPTED, "True", Reason.ACCEPTED, "the job is valid")
QUEUED = condition(
    ConditionType.DISPATCHED,
    "True",
    Reason.WAITING_FOR_CAPACITY,
    "in lane Standard; no worker has begun yet",
)
RUNNING = condition(ConditionType.DISPATCHED, "True", Reason.RUNNING, "worker w1 is on it")


def job(
    status: CallJobStatus | None = None,
    *,
    finalizers: tuple[str, ...] = (FINALIZER,),
    labels: dict[str, str] | None = None,
    deleted_at: datetime | None = None,
    **spec: Any,
) -> CallJob:
    """A job of the API: with our finalizer on, and nothing done yet."""
    return CallJob(
        metadata=ObjectMeta(
            name=f"call-{CALL}",
            namespace="parlance",
            uid=UID,
            generation=1,
            resource_version="7",
            deletion_timestamp=deleted_at,
            finalizers=finalizers,
            labels=labels or {},
        ),
        spec=CallJobSpec(company=COMPANY, audio=Audio(object_key="acme/a.wav"), **spec),
        status=status or CallJobStatus(),
    )


def queued_status(**changes: Any) -> CallJobStatus:
    """Dispatched at T0 as sequence 5; no worker was heard of."""
    status = CallJobStatus(
        observed_generation=1,
        conditions=(ACCEPTED, QUEUED),
        phase=Phase.QUEUED,
        queued_time=T0,
        attempts=1,
        dispatch=Dispatch(sequence=5, stream_created=BUS, time=T0),
    )
    return status.model_copy(update=changes)


def running_status(**changes: Any) -> CallJobStatus:
    """A worker began one second after T0."""
    status = queued_status(
        conditions=(ACCEPTED, RUNNING),
        phase=Phase.RUNNING,
        start_time=at(1),
        progress=Progress(percent=0, stage="Transcribe", total_seconds=60, last_updated_time=at(1)),
        dispatch=Dispatch(sequence=5, stream_created=BUS, time=T0, worker="w1"),
    )
    return status.model_copy(update=changes)


def observed(seconds: float = 0, facts: Facts | None = None, **changes: Any) -> Observed:
    known: dict[str, Any] = {"bus_created": BUS} | changes
    return Observed(now=at(seconds), facts=facts or Facts(), **known)


def running_facts(**changes: Any) -> Facts:
    """One event, `started`, one second after T0."""
    known: dict[str, Any] = {
        "events": 1,
        "heard_at": at(1),
        "attempt": 1,
        "started_at": at(1),
        "worker": "w1",
        "total_seconds": 60.0,
    }
    return Facts(**(known | changes))


def event(data: EventData, *, attempt: int = 1, detail: str = "") -> Envelope:
    return call_events.build_event(
        data, company=COMPANY, call_id=CALL, attempt=attempt, detail=detail, at=T0
    )


STARTED = call_events.Started(
    worker="w1", container="wav", codec="pcm", channels=1, duration_seconds=60, model=MODEL
)
TRANSCRIBED = call_events.Transcribed(
    object_key="t", sha256="a" * 64, segments=3, duration_seconds=61, language="en", model=MODEL
)
ANALYZED = call_events.Analyzed(
    transcript_key="t",
    transcript_sha256="a" * 64,
    insights_key="i",
    insights_sha256="b" * 64,
    segments=3,
    duration_seconds=61,
)
COMPLETED = call_events.Completed(
    transcript_key="t", transcript_sha256="a" * 64, segments=3, duration_seconds=61
)
CANCELLED = call_events.Cancelled(message="stop")
FAILED = call_events.Failed(
    reason=Reason.UNDECODABLE_AUDIO,
    code="undecodable_audio",
    message="no audio",
    stage=Stage.TRANSCRIBE,
    retryable=False,
)


def segments_ready(processed_seconds: float, *, window: int = 0) -> call_events.SegmentsReady:
    return call_events.SegmentsReady(
        window=window,
        channel=0,
        speaker="speaker_0",
        role=Role.UNKNOWN,
        start_seconds=0,
        end_seconds=processed_seconds,
        segments=(),
        model_hash="f" * 64,
        processed_seconds=processed_seconds,
        total_seconds=60,
    )


SUCCEEDED = condition(
    ConditionType.COMPLETE, "True", Reason.SUCCEEDED, "3 segments of 61.0 s of audio", since=at(9)
)
DONE_STATUS = running_status(
    conditions=(ACCEPTED, RUNNING, SUCCEEDED), phase=Phase.SUCCEEDED, completion_time=at(9)
)
