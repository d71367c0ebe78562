"""Rows turned into what clients see. Pure; called by `reading` and the routes."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from msgspec import UNSET
from parlance.api.db import tables
from parlance.api.db.tables import Json
from parlance.api.domain.search.highlights import Highlight
from parlance.api.domain.tickets import schemas
from parlance.api.http.schemas import Notice
from parlance.contracts.analysis.insights import Insights
from parlance.contracts.calls import Role, Sentiment


def build_ticket(
    row: tables.Ticket,
    agent: tables.User | None,
    *,
    highlights: list[Highlight] | None = None,
) -> schemas.Ticket:
    """As lists show it; `highlights` where it was searched for."""
    return schemas.Ticket(
        **_build_members(row, agent), highlights=UNSET if highlights is None else highlights
    )


def build_full_ticket(
    row: tables.Ticket,
    agent: tables.User | None,
    content: tables.TicketContent | None,
    insights: tables.TicketInsights | None,
) -> schemas.Ticket:
    """With the conversation, and the insights once there are some."""
    found = Insights.model_validate(insights.data) if insights is not None else None
    messages = content.messages if content is not None else []
    return schemas.Ticket(
        **_build_members(row, agent),
        raw_text=UNSET if content is None or content.raw_text is None else content.raw_text,
        messages=[_build_message(message, found) for message in messages],
        insights=build_insights(found) if found is not None else None,
    )


def build_insights(insights: Insights) -> dict[str, Any]:
    """The parts that there are."""
    whole = insights.model_dump(mode="json")
    return {name: part for name, part in whole.items() if part is not None}


def build_notices(warnings: Iterable[Json]) -> list[Notice]:
    return [Notice(str(item["code"]), str(item["detail"])) for item in warnings]


def _build_members(row: tables.Ticket, agent: tables.User | None) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "external_id": row.external_id,
        "subject": row.subject,
        "channel": row.channel,
        "status": row.status,
        "priority": row.priority,
        "customer": dict(row.customer),
        "agent": _build_agent(agent),
        "extension_id": row.extension_id,
        "tags": list(row.tags),
        "metadata": dict(row.extra),
        "state": row.state,
        "attempt": row.attempt,
        "lane": row.lane,
        "language": row.detected_language,
        "language_requested": row.language,
        "redact_pii": row.redact_pii,
        "message_count": row.message_count,
        "parse_confidence": row.parse_confidence,
        "sentiment": _build_sentiment(row),
        "trackers": list(row.tracker_names),
        "summary": row.summary,
        "timings": {name: float(str(value)) for name, value in row.timings.items()},
        "warnings": build_notices(row.warnings),
        "error": _build_failure(row),
        "revision": row.revision,
        "created_at": row.created_at,
        "received_at": row.received_at,
        "updated_at": row.updated_at,
        "queued_at": row.queued_at,
        "started_at": row.started_at,
        "completed_at": row.completed_at,
    }


def _build_message(message: Json, insights: Insights | None) -> schemas.Message:
    """Insights name a message by its index."""
    given: dict[str, Any] = dict(message)
    name, at = str(given["index"]), given.get("created_at")
    sentiment = insights.segment_sentiments.get(name) if insights else None
    redacted = insights.redacted_texts.get(name) if insights else None
    return schemas.Message(
        index=given["index"],
        id=given.get("id"),
        role=Role(given["role"]),
        author=given.get("author"),
        text=given["text"],
        created_at=datetime.fromisoformat(at) if at else None,
        raw_text=given.get("raw_text") or UNSET,
        quoted=given.get("quoted") or UNSET,
        redacted_text=UNSET if redacted is None else redacted,
        sentiment=UNSET if sentiment is None else sentiment,
    )


def _build_sentiment(row: tables.Ticket) -> Sentiment | None:
    if row.sentiment_score is None:
        return None
    return Sentiment(score=row.sentiment_score, label=row.sentiment_label or "")


def _build_agent(user: tables.User | None) -> schemas.Agent | None:
    return schemas.Agent(str(user.id), user.name, user.extension_id) if user else None


def _build_failure(row: tables.Ticket) -> schemas.TicketFailure | None:
    if row.error_code is None:
        return None
    return schemas.TicketFailure(
        code=row.error_code,
        message=row.error_message or "",
        reason=row.error_reason,
        retryable=bool(row.error_retryable),
    )
