"""Tickets as the upload makes them, and what a worker does with them."""

import contextlib
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import nats as nats_client
import sqlalchemy as sa
from nats.js.errors import NotFoundError
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.domain.tickets import contents, dispatching
from parlance.api.outbox import rows as outbox
from parlance.contracts import calls, objects
from parlance.contracts.analysis import insights
from parlance.contracts.bus import streams
from parlance.contracts.bus import tickets as ticket_events
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.bus.tickets import TicketDispatch
from parlance.contracts.ids import CompanySlug, TicketId
from parlance.contracts.tickets import TicketDocument
from parlance.contracts.values import Value
from parlance.runtime.store import Store
from sqlmodel import col

from devstack import nats_server
from tests.integration.api_db.support import Parts, Tenant

TEXTS = ("Where is my refund?", "It was sent on Monday.")
LARGE_TEXTS = ("Where is my refund? " * 1000, "It was sent on Monday.")
"""Of a conversation that no dispatch carries."""


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


async def queue_ticket(
    parts: Parts, company: Tenant, *, texts: Sequence[str] = TEXTS, **values: Any
) -> tables.Ticket:
    """With its row in the outbox, and its document in that or in the store, as after a 201."""
    ticket = await add_ticket(parts.database, company.id, texts=texts, **values)
    await queue_again(parts, company, ticket, texts)
    return ticket


async def queue_again(
    parts: Parts, company: Tenant, ticket: tables.Ticket, texts: Sequence[str]
) -> None:
    document = contents.build_document(ticket, company.slug, build_messages(texts))
    await document.put(parts.store)
    work = dispatching.build_work(ticket, company.slug, document.carried, at=parts.clock.now())
    async with parts.database.company_session(company.id) as session:
        await outbox.add_many(session, company.id, Kind.TICKET, [work])


async def find_streams(nats: nats_server.NatsServer, word: str) -> set[str]:
    """Names of the streams that hold a message with the word in it, whatever it is."""
    client = await nats_client.connect(nats.url)
    try:
        js, found = client.jetstream(), set()
        for stream in streams.STREAMS:
            state = (await js.stream_info(stream.name)).state
            for sequence in range(max(state.first_seq, 1), state.last_seq + 1):
                with contextlib.suppress(NotFoundError):
                    message = await js.get_msg(stream.name, sequence)
                    if word.encode() in (message.data or b""):
                        found.add(stream.name)
        return found
    finally:
        await client.close()


async def read_document(store: Store, dispatch: TicketDispatch) -> TicketDocument:
    """As a worker reads it."""
    content, key = dispatch.document.content, dispatch.document.object_key or ""
    data = content.encode() if content is not None else await store.get_bytes(key)
    return TicketDocument.model_validate_json(data)


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


SIGN = ticket_events.Waiting()
"""Of life: a worker analyses the ticket."""
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


async def send_result(
    store: Store,
    company: CompanySlug,
    ticket: tables.Ticket,
    *,
    attempt: int = 1,
    score: float = 0.5,
    data: bytes | None = None,
    is_in_store: bool = False,
) -> ticket_events.Result:
    """What a worker hands to the recorder: insights (or `data`) within the result, or put into the
    store."""
    body = data or build_insights(ticket, attempt=attempt, score=score).model_dump_json().encode()
    if is_in_store:
        key = objects.format_ticket_insights_key(company, id_of(ticket), attempt, "a" * 64)
        stored = await store.put_bytes(key, body)
        carried = ticket_events.Carried(object_key=key, sha256=stored.sha256 or "")
    else:
        carried = ticket_events.Carried(content=body.decode())
    return ticket_events.Result(insights=carried, seconds=0.25, timings={"analyze": 0.2})


def build_result(
    company: CompanySlug, ticket: tables.Ticket, result: ticket_events.Result, *, attempt: int = 1
) -> Envelope:
    """As it comes to the recorder."""
    return ticket_events.EVENTS.build_result(
        result, company=company, subject=str(ticket.id), attempt=attempt, at=datetime.now(UTC)
    )
