"""Calls on the bus: the types of their events, the data of each, and the dispatch to a worker."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from parlance.contracts.calls import ChannelPolicy, ModelInfo, Priority, Role, Segment, Stage
from parlance.contracts.ids import CallId, CompanySlug
from parlance.contracts.lifecycle import Step
from parlance.contracts.values import Value
from pydantic import Field

from . import subjects
from .envelopes import Envelope
from .jobs import Dispatch
from .kinds import Cancelled as Cancelled  # events of calls as of every kind
from .kinds import KindEvents
from .kinds import Retrying as Retrying
from .subjects import Kind


class EventType(StrEnum):
    """Every event of a call, in the order of a call's life."""

    QUEUED = "call.queued"
    STARTED = "call.started"
    SEGMENT = "call.segment"
    RESET = "call.reset"
    PROGRESS = "call.progress"
    RETRYING = "call.retrying"
    TRANSCRIBED = "call.transcribed"
    ANALYZED = "call.analyzed"
    COMPLETED = "call.completed"
    FAILED = "call.failed"
    CANCELLED = "call.cancelled"

    @property
    def step(self) -> Step:
        """What the event means for how far the call is."""
        return _STEP_OF[self]

    @property
    def is_terminal(self) -> bool:
        return self.step.is_terminal

    @property
    def token(self) -> str:
        """Last token of the subject."""
        return self.value.partition(".")[2]


_STEP_OF = {
    EventType.QUEUED: Step.ANNOUNCED,
    EventType.STARTED: Step.WORKED,
    EventType.SEGMENT: Step.WORKED,
    EventType.RESET: Step.SIGN,
    EventType.PROGRESS: Step.SIGN,
    EventType.RETRYING: Step.SIGN,
    EventType.TRANSCRIBED: Step.WORKED,
    EventType.ANALYZED: Step.DELIVERED,
    EventType.COMPLETED: Step.COMPLETED,
    EventType.FAILED: Step.FAILED,
    EventType.CANCELLED: Step.CANCELLED,
}


class CallSource(Value):
    """Where the audio of a call is, and how to take it: what a CallJob says of it."""

    name: str
    """Of the CallJob."""
    namespace: str
    object_key: str | None = None
    uri: str | None = None
    sha256: str | None = None
    media_type: str | None = None
    channels: ChannelPolicy = ChannelPolicy.AUTO
    language: str = "auto"


class Queued(CallSource):
    """The operator accepted and dispatched the job. Carries what the recorder needs for a call
    that came by kubectl and has no row yet."""

    uid: str
    priority: Priority = Priority.STANDARD


class Started(Value):
    """A worker opened the audio."""

    worker: str
    container: str
    codec: str
    channels: int
    duration_seconds: float
    model: ModelInfo
    resumed_windows: int = 0
    object_key: str | None = None
    """Where the audio lies; for a call by `uri`, where it was fetched to."""


class SegmentsReady(Value):
    """One finished window (`call.segment`)."""

    window: int
    channel: int
    speaker: str
    role: Role
    start_seconds: float
    end_seconds: float
    segments: tuple[Segment, ...]
    levels_db: tuple[float, ...] = ()
    """Loudness of each segment, dB relative to full scale; only where channels are compared."""
    language: str = ""
    guard: str = "ok"
    guard_reason: str = ""
    model_hash: str
    processed_seconds: float
    """Call time up to which everything is transcribed."""
    total_seconds: float


class Reset(Value):
    """The call is transcribed anew from its beginning: drop all segments that were said so far, and
    until the next reset take only those that name this model."""

    reason: str
    """One CamelCase word; `ModelChanged` so far."""
    message: str
    model_hash: str
    """Of the model whose segments follow; their ids begin anew."""


TRANSCRIBED_PERCENT = 95
ANALYZED_PERCENT = 99
"""100 once the result can be queried."""


def plan_percent(processed_seconds: float, total_seconds: float) -> int:
    """Of a call that is being transcribed. Its worker and the operator both tell clients how far
    it is, so both count by this."""
    share = min(1.0, processed_seconds / total_seconds) if total_seconds > 0 else 0.0
    return int(share * TRANSCRIBED_PERCENT)


class Progress(Value):
    """How far the call is, and what it waits for."""

    percent: int = Field(ge=0, le=100)
    """By `plan_percent` until it is transcribed. Never goes back within one attempt, not
    even after a reset."""
    stage: Stage
    processed_seconds: float
    total_seconds: float
    waiting_for: str | None = None
    """A `crs.meta.Reason`, while the worker cannot go on; absent when it can."""
    message: str | None = None
    """The same in words."""


class Transcribed(Value):
    """The transcript is stored; insights follow."""

    object_key: str
    sha256: str
    segments: int
    duration_seconds: float
    language: str
    model: ModelInfo
    role_confidence: float | None = None
    """As in the transcript: how sure the guess of the roles is."""


class Analyzed(Value):
    """The last event of the worker: both artefacts are in the store."""

    transcript_key: str
    transcript_sha256: str
    insights_key: str
    insights_sha256: str
    segments: int
    duration_seconds: float
    timings: dict[str, float] = Field(default_factory=dict)
    """Seconds per stage of the worker."""


class Completed(Value):
    """Sent by the recorder after its commit: the result can be queried."""

    transcript_key: str
    transcript_sha256: str
    segments: int
    duration_seconds: float
    summary: str | None = None


class Failed(Value):
    """The call ended without a result."""

    reason: str
    """A `crs.meta.Reason`."""
    code: str
    """A problem code of the API."""
    message: str
    stage: Stage
    retryable: bool


RECORDED_FILTERS = tuple(
    subjects.format_events_of_type(Kind.CALL, type_.token)
    for type_ in EventType
    if type_ not in (EventType.SEGMENT, EventType.RESET)
)
"""What the recorder is sent. Segments are most of the traffic; it reads them from the artefact, and
so it has nothing to drop."""

EventData = (
    Queued | Started | SegmentsReady | Reset | Progress | Retrying
    | Transcribed | Analyzed | Completed | Failed | Cancelled
)  # fmt: skip

DATA_OF: dict[EventType, type[EventData]] = {
    EventType.QUEUED: Queued,
    EventType.STARTED: Started,
    EventType.SEGMENT: SegmentsReady,
    EventType.RESET: Reset,
    EventType.PROGRESS: Progress,
    EventType.RETRYING: Retrying,
    EventType.TRANSCRIBED: Transcribed,
    EventType.ANALYZED: Analyzed,
    EventType.COMPLETED: Completed,
    EventType.FAILED: Failed,
    EventType.CANCELLED: Cancelled,
}
EVENTS = KindEvents(
    data_of={type_.value: data for type_, data in DATA_OF.items()},
    step_of={type_.value: step for type_, step in _STEP_OF.items()},
)


def build_event(
    data: EventData,
    *,
    company: CompanySlug,
    call_id: CallId,
    attempt: int,
    id_: str | None = None,
    detail: str = "",
    at: datetime | None = None,
) -> Envelope:
    """The event of a call that carries this data; see `envelopes.build_event`."""
    return EVENTS.build_event(
        data,
        company=company,
        subject=call_id,
        attempt=attempt,
        id_=id_,
        detail=detail,
        at=at,
    )


def step_of(data: EventData) -> Step:
    """What the event that carries this data means for how far the call is."""
    return _STEP_OF[EventType(EVENTS.type_of(data))]


class CallDispatch(Dispatch, CallSource):
    """Everything a worker needs to do one call."""

    kind: ClassVar[Kind] = Kind.CALL
    call_id: CallId
    stages: tuple[Stage, ...] = (Stage.TRANSCRIBE, Stage.SPEAKERS, Stage.INSIGHTS)
    seconds_left: float | None = Field(default=None, gt=0)
    """How long the call may be worked on before its deadline, from when a worker begins."""

    @property
    def subject_id(self) -> CallId:
        return self.call_id
