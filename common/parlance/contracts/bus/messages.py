"""Messages on the bus: the event envelope with its typed data, the dispatch, the control note.

The same envelope travels over NATS and SSE. Ids and keys only, never audio or rows.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from parlance.contracts.calls import ChannelPolicy, ModelInfo, Priority, Role, Segment, Stage
from parlance.contracts.ids import CallId, CompanySlug
from parlance.contracts.values import Value
from pydantic import AwareDatetime, Field, JsonValue

from . import subjects
from .subjects import Kind

MAX_MESSAGE_BYTES = 256 * 1024
"""Far above any message made here (a window of 29 s is about 2 KiB); a larger one is refused."""


class EventType(StrEnum):
    """Every event of a call, in the order of a call's life."""

    QUEUED = "call.queued"
    STARTED = "call.started"
    SEGMENT = "call.segment"
    PROGRESS = "call.progress"
    RETRYING = "call.retrying"
    TRANSCRIBED = "call.transcribed"
    ANALYZED = "call.analyzed"
    COMPLETED = "call.completed"
    FAILED = "call.failed"
    CANCELLED = "call.cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in (EventType.COMPLETED, EventType.FAILED, EventType.CANCELLED)

    @property
    def token(self) -> str:
        """Last token of the subject."""
        return self.value.partition(".")[2]


class Queued(Value):
    """The operator accepted and dispatched the job. Carries what the recorder needs for a call
    that came by kubectl and has no row yet."""

    name: str
    namespace: str
    uid: str
    object_key: str | None = None
    uri: str | None = None
    sha256: str | None = None
    media_type: str | None = None
    channels: ChannelPolicy = ChannelPolicy.AUTO
    language: str = "auto"
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


class Progress(Value):
    """How far the call is."""

    percent: int = Field(ge=0, le=100)
    stage: Stage
    processed_seconds: float
    total_seconds: float


class Retrying(Value):
    """The attempt in the envelope failed; another follows."""

    reason: str
    message: str
    next_attempt: int
    deliveries: int = Field(default=1, ge=1)
    """Of its message, while the run lasted: more than one when heartbeats were lost."""


class Transcribed(Value):
    """The transcript is stored; insights follow."""

    object_key: str
    sha256: str
    segments: int
    duration_seconds: float
    language: str
    model: ModelInfo


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


class Cancelled(Value):
    """Somebody ended the call."""

    reason: str = "Cancelled"
    message: str = ""


EventData = (
    Queued | Started | SegmentsReady | Progress | Retrying
    | Transcribed | Analyzed | Completed | Failed | Cancelled
)  # fmt: skip

DATA_OF: dict[EventType, type[EventData]] = {
    EventType.QUEUED: Queued,
    EventType.STARTED: Started,
    EventType.SEGMENT: SegmentsReady,
    EventType.PROGRESS: Progress,
    EventType.RETRYING: Retrying,
    EventType.TRANSCRIBED: Transcribed,
    EventType.ANALYZED: Analyzed,
    EventType.COMPLETED: Completed,
    EventType.FAILED: Failed,
    EventType.CANCELLED: Cancelled,
}
_TYPE_OF: dict[type[Value], EventType] = {data: type_ for type_, data in DATA_OF.items()}

_Data = TypeVar("_Data", bound=Value)


class Envelope(Value):
    """What NATS and SSE carry alike."""

    id: str
    """Unique; also the Nats-Msg-Id."""
    type: str
    timestamp: AwareDatetime
    company: CompanySlug
    subject: str
    """Id of the call."""
    attempt: int
    data: dict[str, JsonValue]

    @property
    def nats_subject(self) -> str:
        kind, _, token = self.type.partition(".")
        return subjects.format_event(self.company, Kind(kind), self.subject, token)


def parse_data(envelope: Envelope, expected: type[_Data]) -> _Data:
    """The typed data of an event. Raises pydantic.ValidationError when it does not fit."""
    return expected.model_validate(envelope.data)


def build_call_event(
    data: EventData,
    *,
    company: CompanySlug,
    call_id: CallId,
    attempt: int,
    id_: str | None = None,
    detail: str = "",
    at: datetime | None = None,
) -> Envelope:
    """Wrap typed data. `id_` replaces the usual `<call>.<attempt>.<type>[.<detail>]`."""
    type_ = _TYPE_OF[type(data)]
    return Envelope(
        id=id_ or subjects.format_event_id(call_id, attempt, type_.token, detail),
        type=type_.value,
        timestamp=at or datetime.now(UTC),
        company=company,
        subject=call_id,
        attempt=attempt,
        data=data.model_dump(mode="json", exclude_none=True),
    )


BY_RECORDER = "recorder"
"""Detail in the id of a failure or cancellation that the recorder itself reports."""


def is_by_recorder(event: Envelope) -> bool:
    """Whether it says what stands in the database: then it is so, whatever was heard before."""
    return event.id.endswith(f".{BY_RECORDER}")


class CallDispatch(Value):
    """A message of JOBS: everything a worker needs to do one call."""

    call_id: CallId
    company: CompanySlug
    attempt: int = Field(ge=1)
    backoff_limit: int = Field(default=3, ge=0)
    name: str
    namespace: str
    uid: str
    object_key: str | None = None
    uri: str | None = None
    sha256: str | None = None
    media_type: str | None = None
    channels: ChannelPolicy = ChannelPolicy.AUTO
    language: str = "auto"
    stages: tuple[Stage, ...] = (Stage.TRANSCRIBE, Stage.SPEAKERS, Stage.INSIGHTS)
    priority: Priority = Priority.STANDARD
    dispatched_at: AwareDatetime


class ControlAction(StrEnum):
    """What a note in the CONTROL bucket asks of whoever works on the job."""

    CANCEL = "cancel"
    PAUSE = "pause"
