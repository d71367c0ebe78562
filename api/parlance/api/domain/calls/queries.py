"""Reads of calls. Every query names its company; row security is the second wall."""

import uuid
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.calls import deleting, searching
from parlance.api.domain.search import lists
from parlance.api.domain.search.highlights import Highlight
from parlance.api.domain.search.lists import Listed
from parlance.api.domain.search.pages import DEFAULT_ROW_LIMITS, RowLimits
from parlance.api.http.errors import Refused
from parlance.api.http.paging import Order, Page
from parlance.contracts.calls import CallStatus
from parlance.contracts.problems import Problem
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col


@dataclass(frozen=True, slots=True)
class CallFilter:
    """What a list is narrowed to."""

    status: CallStatus | None = None
    agent: uuid.UUID | None = None
    customer: str | None = None
    worker_id: str | None = None
    external_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_since: datetime | None = None
    """Changes the order too: oldest change first, for clients that keep a copy."""
    q: str | None = None
    """Full text search of the transcript, see `domain.search.terms`."""


@dataclass(frozen=True, slots=True)
class FoundCall:
    """A row and its agent."""

    call: tables.Call
    agent: tables.User | None
    highlights: list[Highlight] | None = None
    """Where the call was found; None where it was not searched for."""


async def fetch_call(session: AsyncSession, company_id: uuid.UUID, call_id: uuid.UUID) -> FoundCall:
    """Raises Refused: 404, or 410 for a call of the company that was deleted."""
    row = (await session.execute(_select(company_id).where(_is(call_id)))).one_or_none()
    if row is not None:
        return FoundCall(row[0], row[1])
    if await deleting.is_deleted(session, company_id, call_id):
        raise Refused(Problem.GONE)
    raise Refused(Problem.NOT_FOUND)


async def fetch_segments(
    session: AsyncSession, company_id: uuid.UUID, call_id: uuid.UUID
) -> list[tables.CallSegment]:
    segment = tables.CallSegment
    query = (
        sa.select(segment)
        .where(col(segment.company_id) == company_id, col(segment.call_id) == call_id)
        .order_by(col(segment.index))
    )
    return list((await session.scalars(query)).all())


async def fetch_insights(
    session: AsyncSession, company_id: uuid.UUID, call_id: uuid.UUID
) -> tables.CallInsights | None:
    insights = tables.CallInsights
    query = sa.select(insights).where(
        col(insights.company_id) == company_id, col(insights.call_id) == call_id
    )
    return await session.scalar(query)


async def fetch_status(
    session: AsyncSession, company_id: uuid.UUID, call_id: uuid.UUID
) -> CallStatus | None:
    """None: the company has no such call. One column by primary key, for those who ask often."""
    call = tables.Call
    query = sa.select(col(call.status)).where(
        col(call.company_id) == company_id, col(call.id) == call_id
    )
    return await session.scalar(query)


async def fetch_page(
    session: AsyncSession,
    company_id: uuid.UUID,
    wanted: CallFilter,
    *,
    limit: int,
    cursor: str | None,
    row_limits: RowLimits = DEFAULT_ROW_LIMITS,
) -> Page[FoundCall]:
    """Newest first, or oldest change first."""
    call, by_change = tables.Call, wanted.updated_since is not None
    moment = col(call.updated_at) if by_change else col(call.created_at)
    listed = Listed(
        _select(company_id),
        _conditions(wanted),
        Order(moment, col(call.id), is_oldest_first=by_change),
        FoundCall,
        searching.SEARCHED,
        searching.fetch_texts,
    )
    return await lists.fetch_page(
        session,
        company_id,
        listed,
        wanted.q,
        limit=limit,
        cursor=cursor,
        row_limits=row_limits,
    )


def _select(company_id: uuid.UUID) -> sa.Select[tables.Call, tables.User]:
    call, user = tables.Call, tables.User
    same_user = sa.and_(
        col(user.id) == col(call.user_id), col(user.company_id) == col(call.company_id)
    )
    return (
        sa.select(call, user).outerjoin(user, same_user).where(col(call.company_id) == company_id)
    )


def _is(call_id: uuid.UUID) -> sa.ColumnElement[bool]:
    return col(tables.Call.id) == call_id


def _conditions(wanted: CallFilter) -> list[sa.ColumnElement[bool]]:
    call = tables.Call
    equal = {
        call.status: wanted.status,
        call.user_id: wanted.agent,
        call.customer_name: wanted.customer,
        call.worker_id: wanted.worker_id,
        call.external_id: wanted.external_id,
    }
    found = [col(column) == value for column, value in equal.items() if value is not None]
    if wanted.created_after is not None:
        found.append(col(call.created_at) >= wanted.created_after)
    if wanted.created_before is not None:
        found.append(col(call.created_at) < wanted.created_before)
    if wanted.updated_since is not None:
        found.append(col(call.updated_at) >= wanted.updated_since)
    return found
