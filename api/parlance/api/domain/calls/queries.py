"""Reads of calls. Every query names its company; row security is the second wall."""

import base64
import uuid
from dataclasses import dataclass
from datetime import datetime

import msgspec
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.calls import deleting
from parlance.api.http.errors import Refused, refuse_field
from parlance.contracts import ids
from parlance.contracts.calls import CallStatus
from parlance.contracts.ids import InvalidId
from parlance.contracts.problems import Problem
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

MAX_PAGE = 200


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


@dataclass(frozen=True, slots=True)
class FoundCall:
    """A row and its agent."""

    call: tables.Call
    agent: tables.User | None


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The last row of a page: the next one starts behind it."""

    at: datetime
    id: uuid.UUID


def parse_id(text: str) -> uuid.UUID:
    """What is no id is an id that nobody has. Raises Refused (404)."""
    try:
        return uuid.UUID(ids.parse_call_id(text))
    except InvalidId as exc:
        raise Refused(Problem.NOT_FOUND) from exc


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


async def fetch_page(
    session: AsyncSession,
    company_id: uuid.UUID,
    wanted: CallFilter,
    *,
    limit: int,
    cursor: str | None,
) -> tuple[list[FoundCall], str | None]:
    """One page by keyset: its cost does not depend on how far one has paged."""
    call = tables.Call
    moment = col(call.updated_at) if wanted.updated_since else col(call.created_at)
    key = sa.tuple_(moment, col(call.id))
    query = _select(company_id).where(*_conditions(wanted))
    if cursor is not None:
        last = parse_cursor(cursor)
        edge = sa.tuple_(sa.literal(last.at), sa.literal(last.id))
        query = query.where(key > edge if wanted.updated_since else key < edge)
    order = (
        (moment.asc(), col(call.id).asc())
        if wanted.updated_since
        else (moment.desc(), col(call.id).desc())
    )
    rows = (await session.execute(query.order_by(*order).limit(limit + 1))).all()
    found = [FoundCall(row[0], row[1]) for row in rows[:limit]]
    if len(rows) <= limit:
        return found, None
    last_call = found[-1].call
    at = last_call.updated_at if wanted.updated_since else last_call.created_at
    return found, format_cursor(at, last_call.id)


def format_cursor(at: datetime, id_: uuid.UUID) -> str:
    data = msgspec.json.encode(_Cursor(at, id_))
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def parse_cursor(text: str) -> _Cursor:
    """Raises Refused for anything this module did not make."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return msgspec.json.decode(data, type=_Cursor)
    except (ValueError, msgspec.MsgspecError) as exc:
        raise refuse_field(
            Problem.VALIDATION_FAILED, "cursor", "is no cursor of this list"
        ) from exc


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
