"""CallJob: the intent to process one call, visible to kubectl. Small, never a payload.

The field descriptions below become the CRD's; `tools/gen_crds.py` adds columns and CEL rules from
the constants at the end.
"""

from enum import StrEnum
from typing import Annotated, Any

from parlance.contracts.calls import ChannelPolicy, Priority, Stage
from parlance.contracts.crs.meta import API_VERSION, Condition, CrValue, Failure, Progress
from parlance.contracts.ids import CallId, parse_calljob_identity
from pydantic import AwareDatetime, Field

KIND = "CallJob"
PLURAL = "calljobs"
SINGULAR = "calljob"
SHORT_NAMES = ("callj",)


Language = Annotated[str, Field(pattern="^(auto|[a-z]{2,3}(-[A-Za-z0-9]{2,8})*)$", max_length=35)]


class Channels(StrEnum):
    """How audio channels map to speakers."""

    AUTO = "Auto"
    MONO = "Mono"
    AGENT_LEFT = "AgentLeft"
    AGENT_RIGHT = "AgentRight"

    @property
    def policy(self) -> ChannelPolicy:
        return ChannelPolicy[self.name]

    @classmethod
    def of(cls, policy: ChannelPolicy) -> "Channels":
        return cls[policy.name]


class PriorityClass(StrEnum):
    """Which lane the job waits in."""

    INTERACTIVE = "Interactive"
    STANDARD = "Standard"
    BULK = "Bulk"

    @property
    def priority(self) -> Priority:
        return Priority[self.name]

    @classmethod
    def of(cls, priority: Priority) -> "PriorityClass":
        return cls[priority.name]


class JobStage(StrEnum):
    """A step to run."""

    TRANSCRIBE = "Transcribe"
    SPEAKERS = "Speakers"
    INSIGHTS = "Insights"
    REDACT = "Redact"

    @property
    def stage(self) -> Stage:
        return Stage[self.name]


class Audio(CrValue):
    """Where the audio is: exactly one of `objectKey` and `uri`."""

    object_key: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Key in Parlance's own object store."""
    uri: Annotated[str, Field(pattern="^(https|s3|gs)://", max_length=2048)] | None = None
    """Address outside the store: https, s3 or gs."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """Hash of the bytes, checked by the worker when given."""
    media_type: Annotated[str, Field(max_length=128)] | None = None
    """Only a hint; the bytes decide."""


class CallJobSpec(CrValue):
    """What to do. Nearly everything is immutable: a new wish is a new CallJob."""

    company: Annotated[str, Field(pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
    """Slug of the company that owns the call."""
    audio: Audio
    channels: Channels = Channels.AUTO
    language: Language = "auto"
    """BCP-47 tag, or `auto`."""
    stages: Annotated[tuple[JobStage, ...], Field(min_length=1, max_length=8)] = (
        JobStage.TRANSCRIBE,
        JobStage.SPEAKERS,
        JobStage.INSIGHTS,
    )
    priority_class: PriorityClass = PriorityClass.STANDARD
    suspend: bool = False
    """Holds the job before dispatch; afterwards drains it at the next window."""
    cancel: bool = False
    """One way: ends the job as Cancelled."""
    active_deadline_seconds: Annotated[int, Field(ge=1, le=604_800)] = 3600
    """Counted from `status.startTime`."""
    backoff_limit: Annotated[int, Field(ge=0, le=20)] = 3
    """Further attempts after a worker was lost."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31_536_000)] = 86_400
    """The finished object is deleted after this time; the result stays in the API."""


class Dispatch(CrValue):
    """Where the job's message is on the bus."""

    sequence: Annotated[int, Field(ge=0)] = 0
    """Sequence in the stream JOBS."""
    stream_created: Annotated[str, Field(max_length=40)] = ""
    """Creation time of the stream: another one means that the bus was lost and built again."""
    worker: Annotated[str, Field(max_length=253)] = ""


class Result(CrValue):
    """Where the result is. Never the result itself."""

    object_key: Annotated[str, Field(max_length=512)]
    sha256: Annotated[str, Field(max_length=64)]
    segments: Annotated[int, Field(ge=0)] = 0
    duration_seconds: Annotated[int, Field(ge=0)] = 0


class CallJobStatus(CrValue):
    """What the operator observed."""

    observed_generation: int | None = None
    conditions: Annotated[tuple[Condition, ...], Field(max_length=8)] = ()
    phase: Annotated[str, Field(max_length=16)] | None = None
    """For people; programs read conditions."""
    queued_time: AwareDatetime | None = None
    start_time: AwareDatetime | None = None
    completion_time: AwareDatetime | None = None
    attempts: Annotated[int, Field(ge=0)] = 0
    progress: Progress | None = None
    dispatch: Dispatch | None = None
    result: Result | None = None
    failure: Failure | None = None


class ObjectMeta(CrValue):
    """The part of Kubernetes' metadata that Parlance reads."""

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: AwareDatetime | None = None
    deletion_timestamp: AwareDatetime | None = None
    finalizers: tuple[str, ...] = ()
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class CallJob(CrValue):
    """A whole object as the API server sends it."""

    metadata: ObjectMeta
    spec: CallJobSpec
    status: CallJobStatus = CallJobStatus()

    @property
    def call_id(self) -> CallId:
        return parse_calljob_identity(self.metadata.name, self.metadata.uid)


def build_manifest(
    *,
    name: str,
    spec: CallJobSpec,
    labels: dict[str, str],
    annotations: dict[str, str],
    finalizers: tuple[str, ...],
) -> dict[str, Any]:
    """The object to create."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": annotations,
            "finalizers": list(finalizers),
        },
        "spec": spec.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
