"""What clients get to see of tickets. Wire schemas only; made from rows by `views`.

Members that are `UNSET` are left out of the JSON.
"""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from parlance.api.domain.search.highlights import Highlight
from parlance.api.http.schemas import Notice
from parlance.contracts.calls import Priority, Role, Sentiment
from parlance.contracts.tickets import TicketState


class Agent(msgspec.Struct, frozen=True):
    """The user who handles the ticket."""

    id: str
    name: str
    extension_id: str | None


class TicketFailure(msgspec.Struct, frozen=True):
    """Why the analysis failed."""

    code: str
    message: str
    reason: str | None
    retryable: bool


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message, in the order of the conversation."""

    index: int
    """Its place as it was sent; names it in the insights."""
    id: str | None
    """As the client sent it."""
    role: Role
    author: str | None
    text: str
    created_at: datetime | None
    raw_text: str | UnsetType = UNSET
    """What was sent, where `text` was made of HTML."""
    quoted: list[list[int]] | UnsetType = UNSET
    """Stretches of `text`, from and up to a character, that repeat earlier messages. They are not
    analysed."""
    redacted_text: str | UnsetType = UNSET
    """Where redaction was asked for and something was found: `text` with a tag in place of each."""
    sentiment: Sentiment | UnsetType = UNSET


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """One ticket. Lists leave out `messages` and `insights`."""

    id: str
    external_id: str | None
    subject: str | None
    channel: str | None
    status: str | None
    """The help desk's word; how far the analysis is says `state`."""
    priority: str | None
    customer: dict[str, Any]
    agent: Agent | None
    extension_id: str | None
    tags: list[str]
    metadata: dict[str, Any]
    state: TicketState
    attempt: int
    lane: Priority
    """The queue that the analysis waits in."""
    language: str | None
    language_requested: str
    redact_pii: bool
    message_count: int
    parse_confidence: float | None
    """How sure it is who said what; null where the messages were sent one by one."""
    sentiment: Sentiment | None
    trackers: list[str]
    """Names of those that matched."""
    summary: str | None
    timings: dict[str, float]
    warnings: list[Notice]
    error: TicketFailure | None
    revision: int
    created_at: datetime
    received_at: datetime
    updated_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    raw_text: str | UnsetType = UNSET
    """A pasted conversation as it was sent."""
    messages: list[Message] | UnsetType = UNSET
    insights: dict[str, Any] | UnsetType | None = UNSET
    highlights: list[Highlight] | UnsetType = UNSET
    """Where a search found it; only in lists with `q`."""


class TicketPage(msgspec.Struct, frozen=True):
    """A page of tickets; `next_cursor` is null on the last one."""

    items: list[Ticket]
    next_cursor: str | None
