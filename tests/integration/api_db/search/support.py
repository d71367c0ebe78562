"""Calls and tickets with texts, and searches of them."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.domain.calls import queries as calls
from parlance.api.domain.calls.queries import CallFilter, FoundCall
from parlance.api.domain.search import finding
from parlance.api.domain.search.finding import FetchTexts, Found
from parlance.api.domain.search.pages import DEFAULT_ROW_LIMITS, PageSearch, RowLimits
from parlance.api.domain.tickets import searching
from parlance.api.http.paging import Order, Page
from sqlmodel import col

from tests.integration.api_db.support import Tenant

START = datetime(2026, 3, 1, tzinfo=UTC)


def build_moment(place: int) -> datetime:
    return START + timedelta(minutes=place)


async def add_call(
    database: Database, company: Tenant, *texts: str, place: int = 0, **values: Any
) -> uuid.UUID:
    """`place`: in the order of creation."""
    at = build_moment(place)
    call = tables.Call(company_id=company.id, created_at=at, updated_at=at, **values)
    async with database.company_session(company.id) as session:
        session.add(call)
        await session.flush()
        for index, text in enumerate(texts):
            session.add(
                tables.CallSegment(
                    call_id=call.id,
                    company_id=company.id,
                    index=index,
                    id=f"0-{index}",
                    channel=0,
                    speaker="speaker_0",
                    start_seconds=index,
                    end_seconds=index + 1,
                    text=text,
                )
            )
    return call.id


async def add_ticket(
    database: Database,
    company: Tenant,
    *texts: str,
    place: int = 0,
    subject: str | None = None,
    **values: Any,
) -> uuid.UUID:
    at = build_moment(place)
    ticket = tables.Ticket(
        company_id=company.id,
        subject=subject,
        content_hash=b"",
        message_count=len(texts),
        created_at=at,
        updated_at=at,
        **values,
    )
    messages = [
        {"index": index, "role": "customer", "text": text} for index, text in enumerate(texts)
    ]
    row = {
        "ticket_id": ticket.id,
        "company_id": company.id,
        "messages": messages,
        "search": sa.func.to_tsvector("simple", "\n".join([subject or "", *texts])),
    }
    async with database.company_session(company.id) as session:
        session.add(ticket)
        await session.flush()
        await session.execute(sa.insert(tables.TICKET_CONTENTS).values(row))
    return ticket.id


async def search_tickets(
    database: Database,
    company: Tenant,
    text: str,
    *conditions: sa.ColumnElement[bool],
    limit: int = 50,
    cursor: str | None = None,
    row_limits: RowLimits = DEFAULT_ROW_LIMITS,
    fetch_texts: FetchTexts = searching.fetch_texts,
) -> Found:
    order = Order(col(tables.Ticket.created_at), col(tables.Ticket.id))
    async with database.company_session(company.id) as session:
        search = PageSearch(
            session, company.id, searching.SEARCHED, conditions, order, limit, row_limits
        )
        return await finding.find(search, text, cursor, fetch_texts)


async def search_calls(
    database: Database,
    company: Tenant,
    text: str,
    *,
    limit: int = 50,
    cursor: str | None = None,
    row_limits: RowLimits = DEFAULT_ROW_LIMITS,
    **filters: Any,
) -> Page[FoundCall]:
    async with database.company_session(company.id) as session:
        return await calls.fetch_page(
            session,
            company.id,
            CallFilter(q=text, **filters),
            limit=limit,
            cursor=cursor,
            row_limits=row_limits,
        )


def list_ids(found: Found) -> list[uuid.UUID]:
    return [key.id for key in found.page.items]


def list_call_ids(page: Page[FoundCall]) -> list[uuid.UUID]:
    return [item.call.id for item in page.items]
