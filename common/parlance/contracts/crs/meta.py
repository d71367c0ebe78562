"""What both kinds share: group, labels, finalizer, conditions, the closed list of reasons.

Also the small vocabulary in which a kind states what its CRD says beyond the fields: columns and
validation rules.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from parlance.contracts.values import Value
from pydantic import AwareDatetime, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "parlance.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORY = "parlance"
FINALIZER = f"{GROUP}/in-flight"
COMPANY_LABEL = f"{GROUP}/company"
TERMINAL_LABEL = f"{GROUP}/terminal"
TRACEPARENT_ANNOTATION = f"{GROUP}/traceparent"

Message = Annotated[str, Field(max_length=1024)]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; `priority` 1 shows with `-o wide` only."""

    name: str
    json_path: str
    description: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL rule of the API server. `path` names the field it stands on, "" is the whole object."""

    path: str
    expression: str
    message: str


def immutable(path: str) -> Rule:
    """The field keeps the value it was created with."""
    name = path.rpartition(".")[2]
    return Rule(path, "self == oldSelf", f"{name} is immutable: create a new object instead")


class CrValue(Value):
    """A part of a custom resource: camelCase on the wire, snake_case in code."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
        use_attribute_docstrings=True,  # they become the descriptions of the CRD
    )


class ConditionType(StrEnum):
    """Which condition; `Complete` and `Failed` are terminal and exclude each other."""

    ACCEPTED = "Accepted"
    DISPATCHED = "Dispatched"
    SUSPENDED = "Suspended"
    COMPLETE = "Complete"
    FAILED = "Failed"


class Reason(StrEnum):
    """Why a condition is what it is, or why a job failed: one closed list."""

    ACCEPTED = "Accepted"
    """The job is valid; what it waits for is said by the next condition."""
    DISPATCHED = "Dispatched"
    """The job was sent to the workers."""
    RUNNING = "Running"
    """A worker is on it."""
    SUCCEEDED = "Succeeded"
    """The result is stored and can be queried."""
    SUSPENDED = "Suspended"
    """Held by `spec.suspend`."""
    RESUMED = "Resumed"
    """No longer held; queued as a new attempt."""
    RETRYING = "Retrying"
    """Handed back by a worker; another run goes on where it ended."""
    CANCELLED = "Cancelled"
    """Somebody asked for the end: `spec.cancel`, the API, or the object's deletion."""
    WAITING_FOR_CAPACITY = "WaitingForCapacity"
    """In its lane; no worker has begun yet."""
    WAITING_FOR_MODEL = "WaitingForModel"
    """The speech model does not answer; tried again by itself."""
    WAITING_FOR_STORE = "WaitingForStore"
    """The object store does not answer; tried again by itself."""
    FETCHING_AUDIO = "FetchingAudio"
    """A worker fetches the audio from `spec.audio.uri`. It has begun: the deadline counts."""
    BUS_UNAVAILABLE = "BusUnavailable"
    """NATS does not answer; goes on by itself when it is back."""
    INVALID_INPUT = "InvalidInput"
    """The job cannot be carried out as it is written."""
    INPUT_NOT_FOUND = "InputNotFound"
    """The audio is not in the object store."""
    ID_TAKEN = "IdTaken"
    """The name of the job is the id of another company's call."""
    COMPANY_NOT_FOUND = "CompanyNotFound"
    """There is no company of this slug."""
    UNDECODABLE_AUDIO = "UndecodableAudio"
    """The file is no audio that can be decoded."""
    INFERENCE_FAILED = "InferenceFailed"
    """The speech model refused the audio."""
    OUTPUT_WRITE_FAILED = "OutputWriteFailed"
    """The result could not be stored or was damaged."""
    WORKER_LOST = "WorkerLost"
    """A worker died or fell silent; the next attempt follows."""
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    """Took longer than `spec.activeDeadlineSeconds`."""
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"
    """Workers were lost more often than `spec.backoffLimit` allows."""
    TOO_MANY_FAILED_ROWS = "TooManyFailedRows"
    """More rows of a sheet failed than its policy allows."""


class Phase(StrEnum):
    """For people only; programs read conditions."""

    PENDING = "Pending"
    QUEUED = "Queued"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    CANCELLING = "Cancelling"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class Condition(CrValue):
    """One observation about the job."""

    type: ConditionType
    """Accepted, Dispatched, Suspended, Complete or Failed."""
    status: Annotated[str, Field(pattern="^(True|False|Unknown)$", max_length=7)]
    """True, False or Unknown."""
    reason: Annotated[str, Field(max_length=64)]
    """One CamelCase word of a closed list."""
    message: Message = ""
    """What a person should know, in a sentence."""
    last_transition_time: AwareDatetime
    """When `status` last changed."""
    observed_generation: int | None = None
    """The generation of the spec that this was observed for."""


class Progress(CrValue):
    """How far the current attempt is."""

    percent: Annotated[int, Field(ge=0, le=100)] = 0
    """Never goes back within one attempt."""
    stage: Annotated[str, Field(max_length=32)] = ""
    """Transcribe, Insights, Store or Done."""
    processed_seconds: Annotated[int, Field(ge=0)] = 0
    """Call time up to which everything is transcribed."""
    total_seconds: Annotated[int, Field(ge=0)] = 0
    """Length of the call; an estimate until the whole file was decoded."""
    last_updated_time: AwareDatetime | None = None
    """When the worker was last heard of."""


class Failure(CrValue):
    """The last failure, kept after a later success too."""

    reason: Annotated[str, Field(max_length=64)]
    """One CamelCase word of a closed list."""
    message: Message = ""
    """What happened and what to do about it."""
    stage: Annotated[str, Field(max_length=32)] = ""
    """The step that failed."""
    retryable: bool = False
    """Whether the same job may work when it is tried again."""
    attempt: Annotated[int, Field(ge=0)] = 0
    """The attempt that failed."""
