"""Tickets on the bus: the types of their events, the data of each, and the dispatch to a worker."""

from enum import StrEnum
from typing import ClassVar

from parlance.contracts.ids import TicketId
from parlance.contracts.lifecycle import Step
from parlance.contracts.values import Value
from pydantic import Field

from . import subjects
from .jobs import Dispatch
from .kinds import Cancelled, KindEvents, Retrying
from .subjects import Kind


class EventType(StrEnum):
    """Every event of a ticket, in the order of its life."""

    QUEUED = "ticket.queued"
    STARTED = "ticket.started"
    RETRYING = "ticket.retrying"
    WAITING = "ticket.waiting"
    ANALYZED = "ticket.analyzed"
    COMPLETED = "ticket.completed"
    FAILED = "ticket.failed"
    CANCELLED = "ticket.cancelled"

    @property
    def step(self) -> Step:
        """What the event means for how far the ticket is."""
        return _STEP_OF[self]

    @property
    def token(self) -> str:
        """Last token of the subject."""
        return self.value.partition(".")[2]


_STEP_OF = {
    EventType.QUEUED: Step.ANNOUNCED,
    EventType.STARTED: Step.WORKED,
    EventType.RETRYING: Step.SIGN,
    EventType.WAITING: Step.SIGN,
    EventType.ANALYZED: Step.DELIVERED,
    EventType.COMPLETED: Step.COMPLETED,
    EventType.FAILED: Step.FAILED,
    EventType.CANCELLED: Step.CANCELLED,
}


class Queued(Value):
    """The ticket was handed to the workers. A new attempt begins with it: the first analysis, or
    one of new content or on request."""

    messages: int


class Started(Value):
    """A worker read the ticket."""

    worker: str
    messages: int


class Waiting(Value):
    """A sign of life of a worker that works or waits for long."""

    waiting_for: str | None = None
    """A `crs.meta.Reason`, while the worker cannot go on; absent when it can."""
    message: str | None = None
    """The same in words."""


class Analyzed(Value):
    """The last event of the worker: the insights are in the store."""

    insights_key: str
    insights_sha256: str
    timings: dict[str, float] = Field(default_factory=dict)
    """Seconds per stage of the worker."""


class Completed(Value):
    """Sent by the recorder after its commit: the insights can be queried. Without any of their
    text: a summary may be longer than a message of the bus, and events outlive a conversation that
    is replaced."""

    insights_sha256: str


class Failed(Value):
    """The analysis ended without a result."""

    reason: str
    """A `crs.meta.Reason`."""
    code: str
    """A problem code of the API."""
    message: str
    retryable: bool


DATA_OF: dict[EventType, type[Value]] = {
    EventType.QUEUED: Queued,
    EventType.STARTED: Started,
    EventType.RETRYING: Retrying,
    EventType.WAITING: Waiting,
    EventType.ANALYZED: Analyzed,
    EventType.COMPLETED: Completed,
    EventType.FAILED: Failed,
    EventType.CANCELLED: Cancelled,
}
EVENTS = KindEvents(
    data_of={type_.value: data for type_, data in DATA_OF.items()},
    step_of={type_.value: step for type_, step in _STEP_OF.items()},
)

RECORDED_FILTERS = tuple(
    subjects.format_events_of_type(Kind.TICKET, type_.token)
    for type_ in (
        EventType.QUEUED,
        EventType.STARTED,
        EventType.ANALYZED,
        EventType.FAILED,
        EventType.CANCELLED,
    )
)
"""What the recorder is sent: the events that change a row."""


class TicketDispatch(Dispatch):
    """Everything a worker needs to analyse one ticket."""

    kind: ClassVar[Kind] = Kind.TICKET
    ticket_id: TicketId
    object_key: str
    """Of the `tickets.TicketDocument`."""
    sha256: str
    messages: int

    @property
    def subject_id(self) -> TicketId:
        return self.ticket_id
