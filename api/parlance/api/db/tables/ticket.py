"""A ticket, its conversation and its insights."""

import uuid
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from parlance.api.db.tables import base
from parlance.api.db.tables.base import Json, Table
from parlance.contracts.calls import Priority
from parlance.contracts.tickets import TicketState
from sqlalchemy.dialects import postgresql as pg
from sqlmodel import Field


class Ticket(Table, table=True):
    """One ticket: what the help desk says of it, how far its analysis is, what came out."""

    __tablename__: ClassVar[Any] = "tickets"
    __table_args__ = (
        sa.Index(None, "company_id", "created_at", "id"),
        sa.Index(None, "company_id", "state", "created_at", "id"),
        sa.Index(None, "company_id", "updated_at", "id"),
        sa.Index(None, "company_id", "user_id", "created_at", "id"),
        sa.Index(
            "ix_tickets_open",
            "id",
            postgresql_where=sa.text("state IN ('queued', 'processing')"),
        ),
        sa.Index(
            "ix_tickets_unassigned_extension",
            "company_id",
            "extension_id",
            postgresql_where=sa.text("user_id IS NULL AND extension_id IS NOT NULL"),
        ),
        # The second of two parallel posts of the same ticket waits here.
        sa.Index(
            "uq_tickets_external_id",
            "company_id",
            "external_id",
            unique=True,
            postgresql_where=sa.text("external_id IS NOT NULL"),
        ),
    )

    id: uuid.UUID = base.id_column()
    company_id: uuid.UUID = base.company_column()
    external_id: str | None = Field(default=None, max_length=128)
    subject: str | None = Field(default=None, max_length=1024)
    channel: str | None = Field(default=None, max_length=64)
    status: str | None = Field(default=None, max_length=64)
    """The help desk's word; how far the analysis is says `state`."""
    priority: str | None = Field(default=None, max_length=64)
    """The help desk's word; the queue that the analysis waits in is `lane`."""
    customer: Json = base.json_object_column()
    """`{external_id?, name?, email?, phone?}`, as sent."""
    user_id: uuid.UUID | None = Field(
        default=None,
        sa_column=sa.Column(sa.Uuid, sa.ForeignKey("users.id", ondelete="SET NULL"), nullable=True),
    )
    extension_id: str | None = Field(default=None, max_length=128)
    tags: list[str] = Field(
        default_factory=list,
        sa_column=sa.Column(pg.ARRAY(sa.String(64)), nullable=False, server_default="{}"),
    )
    extra: Json = base.json_object_column("metadata")
    """The client's `metadata` (that name belongs to SQLAlchemy on a table class)."""
    language: str = Field(default="auto", max_length=35)
    """As asked for; what was found is `detected_language`."""
    redact_pii: bool = False
    warnings: list[Json] = base.json_list_column()
    """`{code, detail}`."""

    content_hash: bytes = Field(sa_column=sa.Column(sa.LargeBinary, nullable=False))
    """SHA-256 of what was sent, by which a repetition is known."""
    revision: int = 1
    """Raised by every change of the conversation or of the fields above; part of the ETag."""
    message_count: int
    parse_confidence: float | None = None
    """How sure it is who said what, in [0, 1]; None where the messages were sent one by one."""

    state: TicketState = base.choice_column(TicketState, TicketState.QUEUED)
    lane: Priority = base.choice_column(Priority, Priority.STANDARD)
    attempt: int = 1
    """The analysis that counts; raised for new content or on request. Events of older ones are
    dropped."""
    error_code: str | None = Field(default=None, max_length=64)
    error_message: str | None = Field(default=None, max_length=1024)
    error_reason: str | None = Field(default=None, max_length=64)
    error_retryable: bool | None = None

    detected_language: str | None = Field(default=None, max_length=35)
    sentiment_score: float | None = None
    sentiment_label: str | None = Field(default=None, max_length=16)
    tracker_names: list[str] = Field(
        default_factory=list,
        sa_column=sa.Column(pg.ARRAY(sa.String(64)), nullable=False, server_default="{}"),
    )
    """Of the trackers that matched."""
    summary: str | None = None
    timings: Json = base.json_object_column()
    """Seconds per stage of the analysis."""

    created_at: datetime = base.created_column()
    """When the conversation began, as the client says; otherwise when it was received."""
    received_at: datetime = base.created_column()
    updated_at: datetime = base.created_column()
    queued_at: datetime | None = base.moment_column()
    """When the present attempt was asked for, or last sent again."""
    started_at: datetime | None = base.moment_column()
    completed_at: datetime | None = base.moment_column()
    """When the terminal state was reached, whichever it is."""


# The columns by which the list finds the tickets of a customer. Postgres computes them, because
# under row security it uses an index only for leakproof operators: `=` of texts is one, `->>` is
# not. They are not mapped, so that reading a ticket does not fetch them.
TICKETS: sa.Table = getattr(Ticket, "__table__")  # noqa: B009 - set by the metaclass
for _name, _expression in (
    ("customer_external_id", "customer ->> 'external_id'::text"),
    ("customer_name", "customer ->> 'name'::text"),
    ("customer_email", "lower(customer ->> 'email'::text)"),
):
    _column = sa.Column(_name, sa.Text, sa.Computed(_expression, persisted=True), nullable=True)
    TICKETS.append_column(_column)
    sa.Index(None, TICKETS.c.company_id, _column, postgresql_where=_column.is_not(None))


def _ticket_key() -> Any:
    key = sa.ForeignKey("tickets.id", ondelete="CASCADE")
    return Field(sa_column=sa.Column(sa.Uuid, key, primary_key=True))


class TicketContent(Table, table=True):
    """The conversation of a ticket. Beside it, so that lists do not read it."""

    __tablename__: ClassVar[Any] = "ticket_contents"

    ticket_id: uuid.UUID = _ticket_key()
    company_id: uuid.UUID = base.company_column()
    messages: list[Json] = base.json_list_column()
    """`contracts.tickets.Message` values in the order of the conversation, each with the client's
    `id` and, where the text was HTML, what was sent as `raw_text`."""
    raw_text: str | None = None
    """A pasted conversation as it was sent."""


# Not mapped, so that reading a conversation does not fetch it. Written as an expression of the
# texts, see `domain.tickets`.
TICKET_CONTENTS: sa.Table = getattr(TicketContent, "__table__")  # noqa: B009 - set by the metaclass
TICKET_CONTENTS.append_column(sa.Column("search", pg.TSVECTOR, nullable=True))
TICKET_CONTENTS.append_column(
    sa.Column(
        "message_bytes", sa.Integer, sa.Computed("octet_length(messages::text)"), nullable=False
    )
)
base.add_search_index(TICKET_CONTENTS)


class TicketInsights(Table, table=True):
    """The insights of a ticket (`contracts.analysis.insights.Insights`)."""

    __tablename__: ClassVar[Any] = "ticket_insights"

    ticket_id: uuid.UUID = _ticket_key()
    company_id: uuid.UUID = base.company_column()
    attempt: int
    profile: str = Field(max_length=64)
    data: Json = base.json_object_column()
    created_at: datetime = base.created_column()
