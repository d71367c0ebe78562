"""Tickets on the bus: the types of their events, the data of each, the dispatch to a worker, and
the result that it sends back.

Conversations and insights of usual size travel in the messages themselves, which live until they
are worked on; an object in the store for each would take several times as long as the analysis.
"""

from enum import StrEnum
from typing import ClassVar, Self

from parlance.contracts.ids import TicketId
from parlance.contracts.lifecycle import Step
from parlance.contracts.values import Value
from pydantic import Field, model_validator

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
    """Sent by the recorder when it has the result of a worker."""

    timings: dict[str, float] = Field(default_factory=dict)
    """Seconds per stage of the worker."""


class Completed(Value):
    """Sent by the recorder after its commit: the insights can be queried. Without any of their
    text: a summary may be longer than a message of the bus, and events outlive a conversation that
    is replaced."""


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
RESULT_TYPE = "ticket.result"
"""Of the envelope of a `Result`: a message to the recorder, no event."""
EVENTS = KindEvents(
    data_of={type_.value: data for type_, data in DATA_OF.items()},
    step_of={type_.value: step for type_, step in _STEP_OF.items()},
    result_type=RESULT_TYPE,
)

RECORDED_FILTERS = tuple(
    subjects.format_events_of_type(Kind.TICKET, type_.token)
    for type_ in (EventType.WAITING, EventType.FAILED, EventType.CANCELLED)
)
"""What the recorder is sent: the events that change a row. That a ticket is queued it knows before
the bus, and an analysis that ends at once need not be recorded as begun: its first sign of life
does that."""

CARRIED_BYTES = 16 * 1024
"""Documents and insights up to this size travel in the dispatch and in the result. Four times what
twenty messages take; the 10,000 dispatches that may wait in JOBS take 160 MB at most, of 1 GiB."""


class Carried(Value):
    """A JSON document that travels in a message, or the object that holds a larger one."""

    content: str | None = None
    """The document itself, as JSON."""
    object_key: str | None = None
    sha256: str | None = None
    """Of the object."""

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        given = [value is not None for value in (self.content, self.object_key, self.sha256)]
        if given not in ([True, False, False], [False, True, True]):
            raise ValueError("either the content, or the key and the hash of its object")
        return self


class TicketDispatch(Dispatch):
    """Everything a worker needs to analyse one ticket."""

    kind: ClassVar[Kind] = Kind.TICKET
    ticket_id: TicketId
    document: Carried
    """The `tickets.TicketDocument`."""
    messages: int

    @property
    def subject_id(self) -> TicketId:
        return self.ticket_id


class Result(Value):
    """The answer of a worker to a `TicketDispatch`, in an envelope of `RESULT_TYPE`."""

    insights: Carried
    """The `analysis.insights.Insights`."""
    document_key: str | None = None
    """The object of the dispatch, if it had one: nobody reads it any more once this is stored."""
    seconds: float
    """From when the worker took the ticket until it sent this."""
    timings: dict[str, float] = Field(default_factory=dict)
    """Seconds per stage of the worker."""
