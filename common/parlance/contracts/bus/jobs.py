"""What every message of JOBS says, and the notes to whoever works on a job.

The fields that only one kind of work has are declared beside its events (`calls.CallDispatch`).
"""

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import ClassVar

from parlance.contracts.calls import Priority
from parlance.contracts.ids import CompanySlug
from parlance.contracts.values import Value
from pydantic import AwareDatetime, Field

from . import subjects
from .subjects import Kind


class Dispatch(Value, ABC):
    """One piece of work for a worker. Each kind of work has a subclass with its own fields."""

    kind: ClassVar[Kind]
    company: CompanySlug
    attempt: int = Field(ge=1)
    backoff_limit: int = Field(default=3, ge=0)
    """Further runs after one that was lost."""
    uid: str
    """Of the object that asks for the work; another incarnation of it has another one."""
    priority: Priority = Priority.STANDARD
    dispatched_at: AwareDatetime

    @property
    @abstractmethod
    def subject_id(self) -> str:
        """Id of the call, ticket or sheet; also the key of its control notes."""

    @property
    def message_id(self) -> str:
        """The Nats-Msg-Id: the same attempt is queued only once."""
        return subjects.format_dispatch_id(self.uid, self.attempt)


class ControlAction(StrEnum):
    """What a note in the CONTROL bucket asks of whoever works on the job."""

    CANCEL = "cancel"
    PAUSE = "pause"
