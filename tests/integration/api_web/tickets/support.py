"""Tickets as clients and the recorder change them, and the events of their life."""

import uuid
from datetime import UTC, datetime
from typing import Any

import httpx
from parlance.api.db import tables
from parlance.contracts.bus import tickets as ticket_events
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.ids import CompanySlug
from parlance.contracts.tickets import TicketState
from parlance.contracts.values import Value

from tests.integration.api_db.tickets import support as rows
from tests.integration.api_web import support
from tests.integration.api_web.support import Account, Api

NOBODYS = "0190b000-0000-4000-8000-00000000000f"
COMPLETED = ticket_events.Completed()
QUEUED = ticket_events.Queued(messages=2)


async def add(api: Api, account: Account, **values: Any) -> str:
    return str((await rows.add_ticket(api.database, account.id, **values)).id)


async def complete(api: Api, account: Account, ticket_id: str, *, score: float = 0.5) -> None:
    """What the recorder writes."""
    async with api.database.company_session(account.id) as session:
        ticket = await session.get_one(tables.Ticket, uuid.UUID(ticket_id))
        ticket.state, ticket.completed_at = TicketState.COMPLETED, datetime.now(UTC)
        ticket.sentiment_score, ticket.sentiment_label = score, "positive"
        ticket.tracker_names, ticket.summary = ["refund"], "A refund."
    await rows.add_insights(api.database, ticket, score=score)


async def get(client: httpx.AsyncClient, account: Account, path: str) -> httpx.Response:
    return await client.get(f"/api/tickets{path}", headers=support.authorize(account))


async def patch(
    client: httpx.AsyncClient, account: Account, ticket_id: str, body: Any, **headers: str
) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.patch(
        f"/api/tickets/{ticket_id}", json=body, headers=support.authorize(account) | names
    )


def build_event(ticket_id: str, data: Value, attempt: int = 1) -> Envelope:
    return ticket_events.EVENTS.build_event(
        data, company=CompanySlug("acme"), subject=ticket_id, attempt=attempt
    )
