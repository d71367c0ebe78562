"""What each event changes in a ticket's row. Pure: no queries, no clock; called by `applier`.

Whether an event still counts is decided where it is written (`records`), with the row as it then
is.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from parlance.contracts.analysis.insights import Insights
from parlance.contracts.bus import tickets as ticket_events
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.kinds import Cancelled
from parlance.contracts.tickets import TicketState

_MAX_MESSAGE_CHARACTERS = 1024
_MAX_NAME_CHARACTERS = 64


class Change(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """New values of columns, under their names; what is absent keeps its value.

    Encoded as JSON, many at once are the parameter of one statement.
    """

    id: str
    company_id: str
    attempt: int
    state: TicketState
    started_at: datetime | None = None
    completed_at: datetime | None = None
    error_code: str | None = None
    error_reason: str | None = None
    error_message: str | None = None
    error_retryable: bool | None = None
    detected_language: str | None = None
    sentiment_score: float | None = None
    sentiment_label: str | None = None
    tracker_names: list[str] | None = None
    summary: str | None = None
    timings: dict[str, float] | None = None
    profile: str | None = None
    insights: msgspec.Raw | None = None
    """The whole artefact, as the worker wrote it."""


def start(envelope: Envelope, company_id: str) -> Change:
    return _build(
        envelope, company_id, state=TicketState.PROCESSING, started_at=_moment_of(envelope)
    )


def fail(envelope: Envelope, company_id: str, failed: ticket_events.Failed) -> Change:
    return _build(
        envelope,
        company_id,
        state=TicketState.FAILED,
        completed_at=_moment_of(envelope),
        error_code=failed.code[:_MAX_NAME_CHARACTERS],
        error_reason=failed.reason[:_MAX_NAME_CHARACTERS],
        error_message=failed.message[:_MAX_MESSAGE_CHARACTERS],
        error_retryable=failed.retryable,
    )


def cancel(envelope: Envelope, company_id: str, cancelled: Cancelled) -> Change:
    return _build(
        envelope,
        company_id,
        state=TicketState.CANCELLED,
        completed_at=_moment_of(envelope),
        error_reason=cancelled.reason[:_MAX_NAME_CHARACTERS],
        error_message=cancelled.message[:_MAX_MESSAGE_CHARACTERS] or None,
    )


def complete(
    envelope: Envelope,
    company_id: str,
    result: ticket_events.Result,
    insights: Insights,
    data: bytes,
    at: datetime,
) -> Change:
    """`data` are the bytes that `insights` were read from."""
    sentiment = insights.sentiment.overall if insights.sentiment else None
    language = insights.language.code if insights.language else ""
    return _build(
        envelope,
        company_id,
        state=TicketState.COMPLETED,
        started_at=_moment_of(envelope) - timedelta(seconds=result.seconds),
        completed_at=at,
        detected_language=language[:35] or None,
        sentiment_score=sentiment.score if sentiment else None,
        sentiment_label=sentiment.label[:16] if sentiment else None,
        tracker_names=[
            tracker.name[:_MAX_NAME_CHARACTERS] for tracker in insights.trackers if tracker.matched
        ],
        summary=insights.summary.text if insights.summary else None,
        timings=dict(result.timings),
        profile=insights.profile[:_MAX_NAME_CHARACTERS],
        insights=msgspec.Raw(data),
    )


def _build(envelope: Envelope, company_id: str, **values: Any) -> Change:
    return Change(id=envelope.subject, company_id=company_id, attempt=envelope.attempt, **values)


def _moment_of(envelope: Envelope) -> datetime:
    """Raises OverflowError for a time whose year in UTC is 0 or 10000: Postgres would store it, and
    every later read of the row would fail, since Python's datetime ends before."""
    return envelope.timestamp.astimezone(UTC)
