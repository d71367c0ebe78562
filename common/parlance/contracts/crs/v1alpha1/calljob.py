"""CallJob: the intent to process one call, visible to kubectl. Small, never a payload.

The fields, bounds and docstrings below become the CRD's schema; `COLUMNS`, `RULES` and
`SELECTABLE_FIELDS` become the rest of it. `tools/gen_crds.py` writes it, `python -m
tools.gen_crds --check` tells whether it is in step.
"""

from enum import StrEnum
from typing import Annotated, Any

from parlance.contracts.calls import ChannelPolicy, Priority, Stage
from parlance.contracts.crs.meta import (
    API_VERSION,
    Column,
    Condition,
    CrValue,
    Failure,
    Progress,
    Rule,
    immutable,
)
from parlance.contracts.ids import CallId, parse_calljob_identity
from pydantic import AwareDatetime, Field

KIND = "CallJob"
PLURAL = "calljobs"
SINGULAR = "calljob"
SHORT_NAMES = ("callj",)
MAX_NAME_LENGTH = 63

COLUMNS = (
    Column("Phase", ".status.phase", "Where the job is in its life."),
    Column("Stage", ".status.progress.stage", "The step that runs."),
    Column("Progress", ".status.progress.percent", "Percent of the call done.", "integer"),
    Column("Company", ".spec.company", "Whose call it is."),
    Column("Age", ".metadata.creationTimestamp", "Since the job was created.", "date"),
    Column("Reason", ".status.conditions[-1:].reason", "Why it is where it is.", priority=1),
    Column("Attempts", ".status.attempts", "Number of the attempt.", "integer", priority=1),
    Column("Worker", ".status.dispatch.worker", "Who works on it.", priority=1),
    Column("Duration", ".status.progress.totalSeconds", "Seconds of audio.", "integer", priority=1),
    Column("Started", ".status.startTime", "Since a worker began.", "date", priority=1),
    Column("Completed", ".status.completionTime", "Since it ended.", "date", priority=1),
)

SELECTABLE_FIELDS = (".spec.company", ".spec.priorityClass", ".status.phase")


def _written_once(field: str) -> Rule:
    """Stands on the whole object, so that dropping the field or all of status is refused too."""
    return Rule(
        "",
        f"!has(oldSelf.status) || !has(oldSelf.status.{field}) || "
        f"(has(self.status) && has(self.status.{field}) && "
        f"self.status.{field} == oldSelf.status.{field})",
        f"status.{field} is written once",
    )


RULES = (
    Rule(
        "",
        f"size(self.metadata.name) <= {MAX_NAME_LENGTH}",
        f"the name may have at most {MAX_NAME_LENGTH} characters",
    ),
    Rule(
        "",
        "!has(oldSelf.status) || !has(oldSelf.status.attempts) || oldSelf.status.attempts == 0 || "
        "self.spec.priorityClass == oldSelf.spec.priorityClass",
        "priorityClass is frozen once the job was dispatched",
    ),
    Rule(
        "spec",
        "!has(self.audio.objectKey) || self.audio.objectKey.startsWith(self.company + '/')",
        "audio.objectKey must lie below the folder of the company: <company>/...",
    ),
    _written_once("completionTime"),
    _written_once("result"),
    immutable("spec.company"),
    immutable("spec.audio"),
    immutable("spec.channels"),
    immutable("spec.language"),
    immutable("spec.stages"),
    Rule(
        "spec.stages",
        "self.exists(stage, stage == 'Transcribe')",
        "stages must contain Transcribe: the others work on its transcript",
    ),
    Rule(
        "spec.audio",
        "has(self.objectKey) != has(self.uri)",
        "give exactly one of objectKey and uri",
    ),
    Rule("spec.cancel", "self || !oldSelf", "cancel is one way: a cancelled job stays cancelled"),
    Rule(
        "status",
        "!has(self.conditions) || !(self.conditions.exists(c, c.type == 'Complete' && "
        "c.status == 'True') && self.conditions.exists(c, c.type == 'Failed' && "
        "c.status == 'True'))",
        "a job is either Complete or Failed",
    ),
    Rule(
        "status",
        "!has(self.progress) || !has(oldSelf.progress) || self.attempts != oldSelf.attempts || "
        "self.progress.percent >= oldSelf.progress.percent",
        "progress never goes back within one attempt",
    ),
)


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

    @property
    def stage(self) -> Stage:
        return Stage[self.name]


class Audio(CrValue):
    """Where the audio is: exactly one of `objectKey` and `uri`."""

    object_key: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """Key in Parlance's own object store; below `<company>/`."""
    uri: Annotated[str, Field(pattern="^https://", max_length=2048)] | None = None
    """Address outside the store; https only."""
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$", max_length=64)] | None = None
    """Hash of the bytes, checked by the worker when given."""
    media_type: Annotated[str, Field(max_length=128)] | None = None
    """Only a hint; the bytes decide."""


class CallJobSpec(CrValue):
    """What to do. Nearly everything is immutable: what else is wanted is another CallJob."""

    company: Annotated[str, Field(pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
    """Slug of the company that owns the call."""
    audio: Audio
    """Where the audio is."""
    channels: Channels = Channels.AUTO
    """How audio channels map to speakers. Auto: two different channels are two speakers."""
    language: Language = "auto"
    """BCP-47 tag, or `auto`."""
    stages: Annotated[tuple[JobStage, ...], Field(min_length=1, max_length=8)] = (
        JobStage.TRANSCRIBE,
        JobStage.SPEAKERS,
        JobStage.INSIGHTS,
    )
    """The steps to run. Transcribe is one of them: the others work on its transcript."""
    priority_class: PriorityClass = PriorityClass.STANDARD
    """Which lane the job waits in; workers serve the lanes 8:3:1. Frozen once dispatched."""
    suspend: bool = False
    """Holds the job before dispatch; afterwards drains it at the next window."""
    cancel: bool = False
    """One way: ends the job as Cancelled."""
    active_deadline_seconds: Annotated[int, Field(ge=1, le=604_800)] = 3600
    """The job fails when it runs longer than this, counted from `status.startTime`."""
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
    time: AwareDatetime | None = None
    """When the message was sent."""
    worker: Annotated[str, Field(max_length=253)] = ""
    """Name of the worker that was last heard of."""


class Result(CrValue):
    """Where the result is. Never the result itself."""

    object_key: Annotated[str, Field(max_length=512)]
    """Key of the transcript in Parlance's object store."""
    sha256: Annotated[str, Field(max_length=64)]
    """Hash of the transcript's bytes."""
    segments: Annotated[int, Field(ge=0)] = 0
    """Segments of the transcript."""
    duration_seconds: Annotated[int, Field(ge=0)] = 0
    """Exact length of the call."""


class CallJobStatus(CrValue):
    """What the operator observed."""

    observed_generation: int | None = None
    """The generation of the spec that this status belongs to."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=8)] = ()
    """The condition that changed last stands last. Complete and Failed are terminal."""
    phase: Annotated[str, Field(max_length=16)] | None = None
    """For people; programs read conditions."""
    queued_time: AwareDatetime | None = None
    """When the job was first dispatched."""
    start_time: AwareDatetime | None = None
    """When a worker first began; begins anew after a suspension."""
    completion_time: AwareDatetime | None = None
    """When the job became Complete or Failed; written once."""
    attempts: Annotated[int, Field(ge=0)] = 0
    """Number of the current attempt; 0 before the first dispatch."""
    resumes: Annotated[int, Field(ge=0)] = 0
    """Attempts that followed a suspension; they do not count against `backoffLimit`."""
    progress: Progress | None = None
    """How far the current attempt is."""
    dispatch: Dispatch | None = None
    """Where the job's message is on the bus."""
    result: Result | None = None
    """Where the result is; written once."""
    failure: Failure | None = None
    """The last failure, kept after a later success too."""


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
