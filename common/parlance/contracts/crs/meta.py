"""What both kinds share: group, labels, finalizer, conditions, the closed list of reasons."""

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


class CrValue(Value):
    """A part of a custom resource: camelCase on the wire, snake_case in code."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
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
    DISPATCHED = "Dispatched"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    SUSPENDED = "Suspended"
    RESUMED = "Resumed"
    RETRYING = "Retrying"
    CANCELLED = "Cancelled"
    WAITING_FOR_CAPACITY = "WaitingForCapacity"
    WAITING_FOR_MODEL = "WaitingForModel"
    BUS_UNAVAILABLE = "BusUnavailable"
    INVALID_INPUT = "InvalidInput"
    INPUT_NOT_FOUND = "InputNotFound"
    COMPANY_NOT_FOUND = "CompanyNotFound"
    UNDECODABLE_AUDIO = "UndecodableAudio"
    INFERENCE_FAILED = "InferenceFailed"
    OUTPUT_WRITE_FAILED = "OutputWriteFailed"
    WORKER_LOST = "WorkerLost"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"
    TOO_MANY_FAILED_ROWS = "TooManyFailedRows"


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
    status: Annotated[str, Field(pattern="^(True|False|Unknown)$")]
    reason: Annotated[str, Field(max_length=64)]
    message: Message = ""
    last_transition_time: AwareDatetime
    observed_generation: int | None = None


class Progress(CrValue):
    """How far the current attempt is; never goes back within one attempt."""

    percent: Annotated[int, Field(ge=0, le=100)] = 0
    stage: Annotated[str, Field(max_length=32)] = ""
    processed_seconds: Annotated[int, Field(ge=0)] = 0
    total_seconds: Annotated[int, Field(ge=0)] = 0
    last_updated_time: AwareDatetime | None = None


class Failure(CrValue):
    """The last failure, kept after a later success too."""

    reason: Annotated[str, Field(max_length=64)]
    message: Message = ""
    stage: Annotated[str, Field(max_length=32)] = ""
    retryable: bool = False
    attempt: Annotated[int, Field(ge=0)] = 0
