"""Tables. They never leave this component: wire schemas and messages are classes of their own.

A table class does not validate what it is constructed with; parse input into a model first.
Every row belongs to one company, and row security (`migrations`, `session`) shows a session the
rows of its own company only. Enumerations are text with a CHECK: a new value is a cheap migration.

Ids are UUIDv7, so primary keys grow at the end of their index.
"""

import uuid
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

import sqlalchemy as sa
from parlance.contracts import ids
from parlance.contracts.calls import CallStatus, ChannelPolicy, Priority, Role
from pydantic import JsonValue
from sqlalchemy.dialects import postgresql as pg
from sqlmodel import Field, SQLModel

PRIORITY_RANK = {Priority.INTERACTIVE: 0, Priority.STANDARD: 1, Priority.BULK: 2}
"""Order in which the outbox is served."""

Json = dict[str, JsonValue]


class UserRole(StrEnum):
    """What a signed-in user may do."""

    ADMIN = "admin"
    SUPERVISOR = "supervisor"
    AGENT = "agent"


class CallSource(StrEnum):
    """How a call came in."""

    UPLOAD = "upload"
    URL = "url"
    KUBECTL = "kubectl"


class Table(SQLModel):
    """Base: one metadata with stable constraint names, which migrations rely on."""

    metadata: ClassVar[sa.MetaData] = sa.MetaData(  # pyright: ignore[reportIncompatibleVariableOverride]  # as SQLModel documents it
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def utc_now() -> datetime:
    return datetime.now(UTC)


def _id() -> Any:
    return Field(default_factory=ids.new_uuid7, sa_column=sa.Column(sa.Uuid, primary_key=True))


def _company(*, primary_key: bool = False) -> Any:
    key = sa.ForeignKey("companies.id")
    return Field(sa_column=sa.Column(sa.Uuid, key, nullable=False, primary_key=primary_key))


def _call_key() -> Any:
    key = sa.ForeignKey("calls.id", ondelete="CASCADE")
    return Field(sa_column=sa.Column(sa.Uuid, key, primary_key=True))


def _created() -> Any:
    kind = sa.DateTime(timezone=True)
    return Field(
        default_factory=utc_now,
        sa_column=sa.Column(kind, nullable=False, server_default=sa.func.now()),
    )


def _moment() -> Any:
    return Field(default=None, sa_column=sa.Column(sa.DateTime(timezone=True), nullable=True))


def _choice(kind: type[StrEnum], default: StrEnum) -> Any:
    text = sa.Enum(
        kind,
        name=kind.__name__.lower(),
        native_enum=False,
        create_constraint=True,
        length=16,
        values_callable=lambda members: [member.value for member in members],
    )
    return Field(
        default=default,
        sa_column=sa.Column(text, nullable=False, server_default=default.value),
    )


def _json_object(name: str | None = None) -> Any:
    column: sa.Column[Any] = sa.Column(pg.JSONB, nullable=False, server_default="{}")
    if name:
        column.name = name
    return Field(default_factory=dict, sa_column=column)


def _json_list() -> Any:
    return Field(
        default_factory=list, sa_column=sa.Column(pg.JSONB, nullable=False, server_default="[]")
    )


def _json_or_none() -> Any:
    return Field(default=None, sa_column=sa.Column(pg.JSONB(none_as_null=True), nullable=True))


class Company(Table, table=True):
    """A tenant. `slug` is its name on the bus, in object keys and in custom resources."""

    __tablename__: ClassVar[Any] = "companies"

    id: uuid.UUID = _id()
    slug: str = Field(max_length=63, unique=True)
    """Never changes; the application role may not update it."""
    name: str = Field(max_length=256)
    trackers: list[Json] = _json_list()
    """`contracts.insights.TrackerRule` values."""
    created_at: datetime = _created()


class User(Table, table=True):
    """An agent, a supervisor or an administrator."""

    __tablename__: ClassVar[Any] = "users"
    __table_args__ = (
        sa.UniqueConstraint("company_id", "email"),
        sa.Index(None, "company_id", "extension_id"),
        sa.Index(None, "company_id", "created_at", "id"),
    )

    id: uuid.UUID = _id()
    company_id: uuid.UUID = _company()
    name: str = Field(max_length=256)
    email: str | None = Field(default=None, max_length=320)
    """Lower case. None: an agent who never signs in."""
    extension_id: str | None = Field(default=None, max_length=128)
    """The agent's id at the telephone system. Several users may share one: then it is ambiguous."""
    role: UserRole = _choice(UserRole, UserRole.AGENT)
    password_hash: str | None = Field(default=None, max_length=256)
    """argon2id."""
    disabled_at: datetime | None = _moment()
    created_at: datetime = _created()


class ApiKey(Table, table=True):
    """An API key. The key itself is shown once and kept nowhere."""

    __tablename__: ClassVar[Any] = "api_keys"
    __table_args__ = (sa.Index(None, "company_id", "created_at", "id"),)

    id: str = Field(max_length=32, primary_key=True)
    """The key id that stands in the key's text."""
    company_id: uuid.UUID = _company()
    name: str = Field(default="", max_length=256)
    sha256: bytes = Field(sa_column=sa.Column(sa.LargeBinary, nullable=False))
    """Of the whole text. Enough for 256 random bits; a slow hash would cost 150 ms a request."""
    scopes: list[str] = _json_list()
    created_at: datetime = _created()
    expires_at: datetime | None = _moment()
    revoked_at: datetime | None = _moment()
    last_used_at: datetime | None = _moment()
    """Written at most once a minute."""


class Call(Table, table=True):
    """One call: what was asked, how far it is, what came out."""

    __tablename__: ClassVar[Any] = "calls"
    __table_args__ = (
        sa.Index(None, "company_id", "created_at", "id"),
        sa.Index(None, "company_id", "status", "created_at", "id"),
        sa.Index(None, "company_id", "updated_at", "id"),
        sa.Index(None, "company_id", "user_id", "created_at", "id"),
        sa.Index(None, "company_id", "worker_id"),
        sa.Index(None, "company_id", "external_id"),
        sa.Index(
            "ix_calls_unassigned_extension",
            "company_id",
            "extension_id",
            postgresql_where=sa.text("user_id IS NULL AND extension_id IS NOT NULL"),
        ),
        # The same bytes once per company: the second of two parallel uploads fails here. A call
        # that failed or was cancelled does not stand in the way of the next try.
        sa.Index(
            "uq_calls_audio",
            "company_id",
            "sha256",
            unique=True,
            postgresql_where=sa.text(
                "NOT allow_duplicate AND status NOT IN ('failed', 'cancelled')"
            ),
        ),
    )

    id: uuid.UUID = _id()
    company_id: uuid.UUID = _company()
    status: CallStatus = _choice(CallStatus, CallStatus.QUEUED)
    attempt: int = 0
    """The latest attempt heard of; what an older one still says is dropped."""
    percent: int = 0
    stages: list[Json] = _json_list()
    """`{name, state, started_at, finished_at, error?}` in the order of the work."""

    customer_name: str | None = Field(default=None, max_length=256)
    user_id: uuid.UUID | None = Field(
        default=None,
        sa_column=sa.Column(sa.Uuid, sa.ForeignKey("users.id", ondelete="SET NULL"), nullable=True),
    )
    extension_id: str | None = Field(default=None, max_length=128)
    worker_id: str | None = Field(default=None, max_length=128)
    """The `order_id` of the request."""
    external_id: str | None = Field(default=None, max_length=128)
    recorded_at: datetime | None = _moment()
    direction: str | None = Field(default=None, max_length=16)
    extra: Json = _json_object("metadata")
    """The client's `metadata` (that name belongs to SQLAlchemy on a table class)."""
    channels: ChannelPolicy = _choice(ChannelPolicy, ChannelPolicy.AUTO)
    language: str = Field(default="auto", max_length=35)
    """As asked for; what was heard is `detected_language`."""
    priority: Priority = _choice(Priority, Priority.STANDARD)
    redact_pii: bool = False
    allow_duplicate: bool = False

    source: CallSource = _choice(CallSource, CallSource.UPLOAD)
    original_name: str | None = Field(default=None, max_length=256)
    """The client's file name, as data only."""
    audio_url: str | None = Field(default=None, max_length=2048)
    """Where the audio came from, for `url`, or is, for a CallJob with an address."""
    audio_key: str | None = Field(default=None, max_length=512)
    sha256: str | None = Field(default=None, max_length=64)
    size_bytes: int | None = Field(default=None, sa_type=sa.BigInteger)
    media_type: str | None = Field(default=None, max_length=128)
    container: str | None = Field(default=None, max_length=32)
    codec: str | None = Field(default=None, max_length=64)
    channel_count: int | None = None
    sample_rate_hz: int | None = None
    duration_seconds: float | None = None
    duration_estimated: bool = False
    warnings: list[Json] = _json_list()
    """`{code, detail}`."""

    error_code: str | None = Field(default=None, max_length=64)
    error_message: str | None = Field(default=None, max_length=1024)
    error_reason: str | None = Field(default=None, max_length=64)
    error_retryable: bool | None = None

    created_at: datetime = _created()
    updated_at: datetime = _created()
    """Of what clients see change in lists; progress does not count."""
    queued_at: datetime | None = _moment()
    started_at: datetime | None = _moment()
    completed_at: datetime | None = _moment()
    """When the terminal state was reached, whichever it is."""

    transcript_key: str | None = Field(default=None, max_length=512)
    transcript_sha256: str | None = Field(default=None, max_length=64)
    insights_key: str | None = Field(default=None, max_length=512)
    insights_sha256: str | None = Field(default=None, max_length=64)
    segment_count: int | None = None
    summary: str | None = None
    detected_language: str | None = Field(default=None, max_length=35)
    language_confidence: float | None = None
    model: Json | None = _json_or_none()
    """`contracts.calls.ModelInfo`."""
    timings: Json = _json_object()
    """Seconds per stage."""

    calljob_name: str | None = Field(default=None, max_length=253)
    """None: the usual `call-<id>`. A CallJob made with kubectl has a name of its own."""


class CallSegment(Table, table=True):
    """One segment of a transcript (`contracts.calls.Segment`), in order of start time."""

    __tablename__: ClassVar[Any] = "segments"

    call_id: uuid.UUID = _call_key()
    index: int = Field(primary_key=True)
    company_id: uuid.UUID = _company()
    id: str = Field(max_length=64)
    channel: int
    speaker: str = Field(max_length=64)
    role: Role = _choice(Role, Role.UNKNOWN)
    start_seconds: float
    end_seconds: float
    text: str
    confidence: float | None = None
    words: list[Json] | None = _json_or_none()
    sentiment: Json | None = _json_or_none()


# Not mapped, so that reading a segment does not fetch it. Here from the start because adding a
# stored column rewrites the table; its index comes with the search and is built beside writes.
SEGMENTS: sa.Table = getattr(CallSegment, "__table__")  # noqa: B009 - set by the metaclass
SEGMENTS.append_column(
    sa.Column(
        "search", pg.TSVECTOR, sa.Computed("to_tsvector('simple'::regconfig, text)", persisted=True)
    )
)


class CallInsights(Table, table=True):
    """The insights of a call (`contracts.insights.Insights`)."""

    __tablename__: ClassVar[Any] = "insights"

    call_id: uuid.UUID = _call_key()
    company_id: uuid.UUID = _company()
    attempt: int
    profile: str = Field(max_length=64)
    data: Json = _json_object()
    created_at: datetime = _created()


class OutboxKind(StrEnum):
    """What the relay has to do."""

    CALL = "call"


class OutboxRow(Table, table=True):
    """Something to be done outside once the transaction is there. Deleted when it is done."""

    __tablename__: ClassVar[Any] = "outbox"
    __table_args__ = (
        sa.UniqueConstraint("kind", "subject_id"),
        sa.Index(None, "priority", "created_at", "id"),
    )

    id: uuid.UUID = _id()
    company_id: uuid.UUID = _company()
    kind: OutboxKind = _choice(OutboxKind, OutboxKind.CALL)
    subject_id: uuid.UUID
    payload: Json = _json_object()
    """The manifest of the CallJob to create."""
    priority: int = Field(sa_type=sa.SmallInteger)
    """`PRIORITY_RANK`: lower goes first."""
    attempts: int = 0
    next_at: datetime = _created()
    created_at: datetime = _created()


class Deletion(Table, table=True):
    """A deleted call: the work still to do outside, then the tombstone.

    It outlives the events of the call, so that a late one cannot bring the call back.
    """

    __tablename__: ClassVar[Any] = "deletions"
    __table_args__ = (
        sa.Index("ix_deletions_open", "next_at", postgresql_where=sa.text("finished_at IS NULL")),
        sa.Index(None, "finished_at"),
    )

    call_id: uuid.UUID = Field(sa_column=sa.Column(sa.Uuid, primary_key=True))
    company_id: uuid.UUID = _company()
    calljob_name: str = Field(max_length=253)
    attempts: int = 0
    next_at: datetime = _created()
    created_at: datetime = _created()
    finished_at: datetime | None = _moment()


class AuditEntry(Table, table=True):
    """Who did what. The application role may insert and read, never change."""

    __tablename__: ClassVar[Any] = "audit"
    __table_args__ = (sa.Index(None, "company_id", "id"),)

    id: uuid.UUID = _id()
    company_id: uuid.UUID = _company()
    at: datetime = _created()
    actor: str = Field(max_length=128)
    """`key:<id>`, `user:<id>` or `system:<process>`."""
    action: str = Field(max_length=64)
    """`call.created`, `call.deleted`..."""
    subject: str = Field(max_length=128)
    detail: Json = _json_object()


class IdempotencyKey(Table, table=True):
    """The first answer to a POST with an Idempotency-Key; kept 24 hours."""

    __tablename__: ClassVar[Any] = "idempotency_keys"
    __table_args__ = (sa.Index(None, "created_at"),)

    company_id: uuid.UUID = _company(primary_key=True)
    key: str = Field(max_length=255, primary_key=True)
    request_hash: bytes = Field(sa_column=sa.Column(sa.LargeBinary, nullable=False))
    status: int | None = None
    """None while the first request still runs."""
    headers: Json = _json_object()
    body: bytes | None = Field(default=None, sa_column=sa.Column(sa.LargeBinary, nullable=True))
    created_at: datetime = _created()
