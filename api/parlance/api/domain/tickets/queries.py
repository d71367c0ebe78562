"""Reads of tickets. Every query names its company; row security is the second wall."""

import uuid
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.search import lists
from parlance.api.domain.search.highlights import Highlight
from parlance.api.domain.search.lists import Listed
from parlance.api.domain.tickets import deleting, searching
from parlance.api.http.errors import Refused
from parlance.api.http.paging import Order, Page
from parlance.contracts.problems import Problem
from parlance.contracts.tickets import TicketState
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

# The few tickets of one customer are found quickest by index, the many of another by reading on in
# the list. After five executions Postgres would keep the plan with the indexes for both.
_PLAN_FOR_VALUES = sa.text("SET LOCAL plan_cache_mode = force_custom_plan")


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """What a list is narrowed to."""

    state: TicketState | None = None
    status: str | None = None
    agent: uuid.UUID | None = None
    customer: str | None = None
    """Name, email or external id."""
    external_id: str | None = None
    channel: str | None = None
    tag: str | None = None
    sentiment: str | None = None
    tracker: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_since: datetime | None = None
    """Changes the order too: oldest change first, for clients that keep a copy."""
    q: str | None = None
    """Full text search of subjects and messages."""


@dataclass(frozen=True, slots=True)
class FoundTicket:
    """A row and its agent."""

    ticket: tables.Ticket
    agent: tables.User | None
    highlights: list[Highlight] | None = None
    """Where a search found it; None without a search."""


@dataclass(frozen=True, slots=True)
class Life:
    """How far a ticket is."""

    state: TicketState
    attempt: int


async def fetch_ticket(
    session: AsyncSession, company_id: uuid.UUID, ticket_id: uuid.UUID
) -> FoundTicket:
    """Raises Refused: 404, or 410 for a ticket of the company that was deleted."""
    query = _select(company_id).where(col(tables.Ticket.id) == ticket_id)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise await refuse_missing(session, company_id, ticket_id)
    return FoundTicket(row[0], row[1])


async def refuse_missing(
    session: AsyncSession, company_id: uuid.UUID, ticket_id: uuid.UUID
) -> Refused:
    """What to raise for a ticket that is not there."""
    is_gone = await deleting.is_deleted(session, company_id, ticket_id)
    return Refused(Problem.GONE if is_gone else Problem.NOT_FOUND)


async def fetch_content(
    session: AsyncSession, company_id: uuid.UUID, ticket_id: uuid.UUID
) -> tables.TicketContent | None:
    content = tables.TicketContent
    query = sa.select(content).where(
        col(content.company_id) == company_id, col(content.ticket_id) == ticket_id
    )
    return await session.scalar(query)


async def fetch_insights(
    session: AsyncSession, company_id: uuid.UUID, ticket_id: uuid.UUID
) -> tables.TicketInsights | None:
    insights = tables.TicketInsights
    query = sa.select(insights).where(
        col(insights.company_id) == company_id, col(insights.ticket_id) == ticket_id
    )
    return await session.scalar(query)


async def find_life(
    session: AsyncSession, company_id: uuid.UUID, ticket_id: uuid.UUID
) -> Life | None:
    """None: the company has no such ticket (any more). Two columns by primary key, for those who
    ask often."""
    ticket = tables.Ticket
    query = sa.select(col(ticket.state), col(ticket.attempt)).where(
        col(ticket.company_id) == company_id, col(ticket.id) == ticket_id
    )
    row = (await session.execute(query)).one_or_none()
    return Life(row[0], row[1]) if row is not None else None


async def fetch_page(
    session: AsyncSession,
    company_id: uuid.UUID,
    wanted: TicketFilter,
    *,
    limit: int,
    cursor: str | None,
) -> Page[FoundTicket]:
    """Newest first, or oldest change first."""
    ticket, by_change = tables.Ticket, wanted.updated_since is not None
    moment = col(ticket.updated_at) if by_change else col(ticket.created_at)
    listed = Listed(
        _select(company_id),
        _build_conditions(wanted),
        Order(moment, col(ticket.id), is_oldest_first=by_change),
        FoundTicket,
        searching.SEARCHED,
        searching.fetch_texts,
    )
    if wanted.customer is not None:
        await session.execute(_PLAN_FOR_VALUES)
    return await lists.fetch_page(session, company_id, listed, wanted.q, limit=limit, cursor=cursor)


def _build_conditions(wanted: TicketFilter) -> list[sa.ColumnElement[bool]]:
    """One for each filter that is set."""
    ticket = tables.Ticket
    equal = {
        ticket.state: wanted.state,
        ticket.status: wanted.status,
        ticket.user_id: wanted.agent,
        ticket.external_id: wanted.external_id,
        ticket.channel: wanted.channel,
        ticket.sentiment_label: wanted.sentiment,
    }
    found = [col(column) == value for column, value in equal.items() if value is not None]
    if wanted.customer is not None:
        found.append(_is_of_customer(wanted.customer))
    if wanted.tag is not None:
        found.append(sa.literal(wanted.tag) == sa.any_(col(ticket.tags)))
    if wanted.tracker is not None:
        found.append(sa.literal(wanted.tracker) == sa.any_(col(ticket.tracker_names)))
    if wanted.created_after is not None:
        found.append(col(ticket.created_at) >= wanted.created_after)
    if wanted.created_before is not None:
        found.append(col(ticket.created_at) < wanted.created_before)
    if wanted.updated_since is not None:
        found.append(col(ticket.updated_at) >= wanted.updated_since)
    return found


def _is_of_customer(wanted: str) -> sa.ColumnElement[bool]:
    """By name, email or external id."""
    ticket = tables.TICKETS.c
    return sa.or_(
        ticket.customer_external_id == wanted,
        ticket.customer_name == wanted,
        ticket.customer_email == wanted.lower(),
    )


def _select(company_id: uuid.UUID) -> sa.Select[tables.Ticket, tables.User]:
    ticket, user = tables.Ticket, tables.User
    same_user = sa.and_(
        col(user.id) == col(ticket.user_id), col(user.company_id) == col(ticket.company_id)
    )
    return (
        sa.select(ticket, user)
        .outerjoin(user, same_user)
        .where(col(ticket.company_id) == company_id)
    )
