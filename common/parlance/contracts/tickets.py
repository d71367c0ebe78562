"""What a ticket is made of: a conversation in text, its state, and the document that workers read.

Written by the API, read by the text workers.
"""

from enum import StrEnum

from pydantic import AwareDatetime, Field

from .calls import Role
from .values import Value


class TicketState(StrEnum):
    """How far the analysis of a ticket is, as API clients see it. (Its `status` is the help desk's
    own word.)"""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in (TicketState.COMPLETED, TicketState.FAILED, TicketState.CANCELLED)


class Message(Value):
    """One message of a conversation."""

    index: int = Field(ge=0)
    """Place in which it was sent: unique in the ticket, and its id in the insights (as text)."""
    role: Role
    author: str | None = None
    text: str
    """As people read it: plain text, quoted replies included."""
    quoted: tuple[tuple[int, int], ...] = ()
    """Stretches [begin, end) of `text`, in characters, that repeat earlier messages: shown, and
    left out of the analysis. Ascending, not touching each other."""
    created_at: AwareDatetime | None = None


class TicketDocument(Value):
    """What there is to analyse: within a dispatch, or the object that it names."""

    ticket_id: str
    attempt: int
    language: str = "auto"
    """BCP-47 tag, or `auto` to find it out."""
    subject: str | None = None
    status: str | None = None
    """The help desk's word, such as `resolved`."""
    messages: tuple[Message, ...]
    """In the order of the conversation."""
    redact_pii: bool = False
