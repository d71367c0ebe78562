"""Tickets as the upload makes them, and what a worker does with them."""

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.domain.tickets import contents, dispatching
from parlance.api.outbox import rows as outbox
from parlance.contracts import calls, objects
from parlance.contracts.analysis import insights
from parlance.contracts.bus import tickets as ticket_events
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.ids import CompanySlug, TicketId
from parlance.contracts.values import Value
from parlance.runtime.store import Store
from sqlmodel import col

from tests.integration.api_db.support import Parts, Tenant

TEXTS = ("Where is my refund?", "It was sent on Monday.")


def build_messages(texts: Sequence[str] = TEXTS) -> list[tables.Json]:
    return [
        {
            "index": index,
            "id": f"m{index}",
            "role": ("customer", "agent")[index % 2],
            "author": ("Ada", "Bo")[index % 2],
            "text": text,
            "created_at": "2026-03-01T10:00:00Z",
            "quoted": [],
        }
        for index, text in enumerate(texts)
    ]


async def add_ticket(
    database: Database, company_id: uuid.UUID, *, texts: Sequence[str] = TEXTS, **values: Any
) -> tables.Ticket:
    """Rows of a ticket that is not in the outbox."""
    messages = build_messages(texts)
    filled: dict[str, Any] = {"content_hash": b"0" * 32, "message_count": len(messages)} | values
    ticket = tables.Ticket(company_id=company_id, **filled)
    async with database.company_session(company_id) as session:
        session.add(ticket)
        await session.flush()
        session.add(
            tables.TicketContent(ticket_id=ticket.id, company_id=company_id, messages=messages)
        )
    return ticket


async def queue_ticket(parts: Parts, company: Tenant, **values: Any) -> tables.Ticket:
    """With its document in the store and its row in the outbox, as after a 201."""
    ticket = await add_ticket(parts.database, company.id, **values)
    document = contents.build_document(ticket, company.slug, build_messages())
    await parts.store.put_bytes(document.key, document.data)
    work = dispatching.build_work(
        ticket,
        company.slug,
        object_key=document.key,
        sha256=document.sha256,
        at=parts.clock.now(),
    )
    async with parts.database.company_session(company.id) as session:
        await outbox.add_many(session, company.id, Kind.TICKET, [work])
    return ticket


async def fetch_ticket(database: Database, ticket_id: uuid.UUID) -> tables.Ticket:
    async with database.system_session() as session:
        return await session.get_one(tables.Ticket, ticket_id)


async def fetch_insights(database: Database, ticket_id: uuid.UUID) -> tables.TicketInsights | None:
    async with database.system_session() as session:
        return await session.get(tables.TicketInsights, ticket_id)


async def change_ticket(database: Database, ticket_id: uuid.UUID, **values: Any) -> None:
    async with database.system_session() as session:
        await session.execute(
            sa.update(tables.Ticket).where(col(tables.Ticket.id) == ticket_id).values(**values)
        )


async def make_quiet(parts: Parts, ticket: tables.Ticket, seconds: float) -> None:
    """As if nothing had been heard of it for so long."""
    then = parts.clock.now() - timedelta(seconds=seconds)
    await change_ticket(parts.database, ticket.id, updated_at=then, queued_at=then)


def id_of(ticket: tables.Ticket) -> TicketId:
    return TicketId(str(ticket.id))


def build_event(
    company: CompanySlug, ticket: tables.Ticket, data: Value, *, attempt: int = 1, detail: str = ""
) -> Envelope:
    return ticket_events.EVENTS.build_event(
        data, company=company, subject=str(ticket.id), attempt=attempt, detail=detail
    )


STARTED = ticket_events.Started(worker="worker-1", messages=2)
FAILED = ticket_events.Failed(
    reason="InternalError", code="internal", message="It broke.", retryable=True
)


def build_insights(ticket: tables.Ticket, *, attempt: int = 1, score: float = 0.5) -> Any:
    sentiment = calls.Sentiment(score=score, label="positive" if score > 0 else "negative")
    return insights.Insights(
        ticket_id=str(ticket.id),
        attempt=attempt,
        sentiment=insights.CallSentiment(
            overall=sentiment, quarters=(None,) * 4, trend="stable", speakers=()
        ),
        segment_sentiments={"0": sentiment},
        language=insights.DetectedLanguage(code="en", confidence=0.9),
        summary=insights.Summary(text="A refund.", sentences=()),
        redacted_texts={"1": "It was sent on [DAY]."},
        trackers=(
            insights.TrackerResult(name="refund", matched=True, hits=()),
            insights.TrackerResult(name="praise", matched=False, hits=()),
        ),
        analyzers=(insights.AnalyzerRun(name="sentiment", version="1", ok=True, seconds=0.01),),
    )


async def add_insights(database: Database, ticket: tables.Ticket, *, score: float = 0.5) -> None:
    """What the recorder writes beside the row."""
    insights = build_insights(ticket, attempt=ticket.attempt, score=score)
    async with database.company_session(ticket.company_id) as session:
        session.add(
            tables.TicketInsights(
                ticket_id=ticket.id,
                company_id=ticket.company_id,
                attempt=ticket.attempt,
                profile=insights.profile,
                data=insights.model_dump(mode="json"),
            )
        )


async def put_result(
    store: Store,
    company: CompanySlug,
    ticket: tables.Ticket,
    *,
    attempt: int = 1,
    score: float = 0.5,
    data: bytes | None = None,
) -> ticket_events.Analyzed:
    """What a worker leaves in the store; returns the data of its `analyzed`."""
    body = data or build_insights(ticket, attempt=attempt, score=score).model_dump_json().encode()
    key = objects.format_ticket_insights_key(company, id_of(ticket), attempt, "a" * 64)
    stored = await store.put_bytes(key, body)
    return ticket_events.Analyzed(
        insights_key=key, insights_sha256=stored.sha256 or "", timings={"analyze": 0.2}
    )
