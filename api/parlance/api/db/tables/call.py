"""A call, the segments of its transcript and its insights."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

import sqlalchemy as sa
from parlance.api.db.tables import base
from parlance.api.db.tables.base import Json, Table
from parlance.contracts.calls import CallStatus, ChannelPolicy, Priority, Role
from sqlalchemy.dialects import postgresql as pg
from sqlmodel import Field


class CallSource(StrEnum):
    """How a call came in."""

    UPLOAD = "upload"
    URL = "url"
    KUBECTL = "kubectl"


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

    id: uuid.UUID = base.id_column()
    company_id: uuid.UUID = base.company_column()
    status: CallStatus = base.choice_column(CallStatus, CallStatus.QUEUED)
    attempt: int = 0
    """The latest attempt heard of; what an older one still says is dropped."""
    percent: int = 0
    stages: list[Json] = base.json_list_column()
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
    recorded_at: datetime | None = base.moment_column()
    direction: str | None = Field(default=None, max_length=16)
    extra: Json = base.json_object_column("metadata")
    """The client's `metadata` (that name belongs to SQLAlchemy on a table class)."""
    channels: ChannelPolicy = base.choice_column(ChannelPolicy, ChannelPolicy.AUTO)
    language: str = Field(default="auto", max_length=35)
    """As asked for; what was heard is `detected_language`."""
    priority: Priority = base.choice_column(Priority, Priority.STANDARD)
    redact_pii: bool = False
    allow_duplicate: bool = False

    source: CallSource = base.choice_column(CallSource, CallSource.UPLOAD)
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
    warnings: list[Json] = base.json_list_column()
    """`{code, detail}`."""

    error_code: str | None = Field(default=None, max_length=64)
    error_message: str | None = Field(default=None, max_length=1024)
    error_reason: str | None = Field(default=None, max_length=64)
    error_retryable: bool | None = None

    created_at: datetime = base.created_column()
    updated_at: datetime = base.created_column()
    """Of what clients see change in lists; progress does not count."""
    queued_at: datetime | None = base.moment_column()
    started_at: datetime | None = base.moment_column()
    completed_at: datetime | None = base.moment_column()
    """When the terminal state was reached, whichever it is."""

    transcript_key: str | None = Field(default=None, max_length=512)
    transcript_sha256: str | None = Field(default=None, max_length=64)
    insights_key: str | None = Field(default=None, max_length=512)
    insights_sha256: str | None = Field(default=None, max_length=64)
    segment_count: int | None = None
    summary: str | None = None
    detected_language: str | None = Field(default=None, max_length=35)
    language_confidence: float | None = None
    role_confidence: float | None = None
    """How sure the guess is of who is the agent; None where nothing was guessed."""
    model: Json | None = base.json_or_none_column()
    """`contracts.calls.ModelInfo`."""
    timings: Json = base.json_object_column()
    """Seconds per stage."""

    calljob_name: str | None = Field(default=None, max_length=253)
    """None: the usual `call-<id>`. A CallJob made with kubectl has a name of its own."""


def _call_key() -> Any:
    key = sa.ForeignKey("calls.id", ondelete="CASCADE")
    return Field(sa_column=sa.Column(sa.Uuid, key, primary_key=True))


class CallSegment(Table, table=True):
    """One segment of a transcript (`contracts.calls.Segment`), in order of start time."""

    __tablename__: ClassVar[Any] = "call_segments"

    call_id: uuid.UUID = _call_key()
    index: int = Field(primary_key=True)
    company_id: uuid.UUID = base.company_column()
    id: str = Field(max_length=64)
    channel: int
    speaker: str = Field(max_length=64)
    role: Role = base.choice_column(Role, Role.UNKNOWN)
    start_seconds: float
    end_seconds: float
    text: str
    confidence: float | None = None
    words: list[Json] | None = base.json_or_none_column()
    sentiment: Json | None = base.json_or_none_column()


# Not mapped, so that reading a segment does not fetch it. Here from the start because adding a
# stored column rewrites the table.
SEGMENTS: sa.Table = getattr(CallSegment, "__table__")  # noqa: B009 - set by the metaclass
SEGMENTS.append_column(
    sa.Column(
        "search", pg.TSVECTOR, sa.Computed("to_tsvector('simple'::regconfig, text)", persisted=True)
    )
)
base.add_search_index(SEGMENTS)


class CallInsights(Table, table=True):
    """The insights of a call (`contracts.analysis.insights.Insights`)."""

    __tablename__: ClassVar[Any] = "call_insights"

    call_id: uuid.UUID = _call_key()
    company_id: uuid.UUID = base.company_column()
    attempt: int
    profile: str = Field(max_length=64)
    data: Json = base.json_object_column()
    created_at: datetime = base.created_column()
