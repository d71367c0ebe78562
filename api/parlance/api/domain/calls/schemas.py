"""What clients get to see of calls. Wire schemas only; made from rows by `views`.

Members that are `UNSET` are left out of the JSON.
"""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from parlance.api.domain.search.highlights import Highlight
from parlance.api.http import schemas as http_schemas
from parlance.contracts.analysis.insights import Insights
from parlance.contracts.calls import CallStatus, ChannelPolicy, ModelInfo, Priority

Notice = http_schemas.Notice


class CallAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """The 201 of an upload: exactly these members, and `warnings` only when there are any."""

    success: bool
    call_id: str
    message: str
    audio_url: str
    duration_seconds: int
    """Rounded to whole seconds, as the contract shows it; the call object has it exactly."""
    processing_time_ms: int
    warnings: list[Notice] | UnsetType = UNSET


class Agent(msgspec.Struct, frozen=True):
    """The user who led the call."""

    id: str
    name: str
    extension_id: str | None


class Media(msgspec.Struct, frozen=True, kw_only=True):
    """What the file is, by its bytes."""

    container: str | None
    codec: str | None
    channel_count: int | None
    sample_rate_hz: int | None
    size_bytes: int | None
    sha256: str | None
    media_type: str | None
    file_name: str | None


class CallFailure(msgspec.Struct, frozen=True):
    """Why a call failed."""

    code: str
    message: str
    reason: str | None
    retryable: bool


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of speech of one speaker on one channel."""

    index: int
    id: str
    channel: int
    speaker: str
    role: str
    start_seconds: float
    end_seconds: float
    text: str
    confidence: float | None
    words: list[dict[str, Any]] | None
    sentiment: dict[str, Any] | None


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """A finished transcript."""

    call_id: str
    language: str | None
    language_confidence: float | None
    role_confidence: float | None
    """How sure the guess is of who is the agent; null where nothing was guessed."""
    duration_seconds: float | None
    model: ModelInfo | None
    text: str
    segments: list[Segment]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call. Lists leave out `text`, `segments` and `insights`."""

    id: str
    status: CallStatus
    attempt: int
    percent: int
    stages: list[dict[str, Any]]
    source: str
    priority: Priority
    channels: ChannelPolicy
    duration_seconds: float | None
    duration_estimated: bool
    media: Media
    language: str | None
    language_requested: str
    language_confidence: float | None
    role_confidence: float | None
    """How sure the guess is of who is the agent; null where nothing was guessed."""
    agent: Agent | None
    extension_id: str | None
    customer_name: str | None
    worker_id: str | None
    external_id: str | None
    recorded_at: datetime | None
    direction: str | None
    metadata: dict[str, Any]
    redact_pii: bool
    summary: str | None
    segment_count: int | None
    model: ModelInfo | None
    timings: dict[str, float]
    warnings: list[Notice]
    error: CallFailure | None
    audio_url: str
    created_at: datetime
    updated_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    text: str | UnsetType | None = UNSET
    segments: list[Segment] | UnsetType | None = UNSET
    insights: Insights | UnsetType | None = UNSET
    highlights: list[Highlight] | UnsetType = UNSET
    """Where a search found it; only in lists with `q`."""


class CallPage(msgspec.Struct, frozen=True):
    """A page of calls; `next_cursor` is null on the last one."""

    items: list[Call]
    next_cursor: str | None
