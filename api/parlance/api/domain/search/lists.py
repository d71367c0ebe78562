"""A page of a list that can be searched: the rows that its filters leave, and with a text those of
them that match it. Areas call it with their own tables.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.search import finding
from parlance.api.domain.search.finding import FetchTexts, Found
from parlance.api.domain.search.highlights import Highlight
from parlance.api.domain.search.pages import (
    DEFAULT_ROW_LIMITS,
    PageSearch,
    RowLimits,
    Searched,
)
from parlance.api.http import paging
from parlance.api.http.paging import Key, Order, Page
from sqlalchemy.ext.asyncio import AsyncSession

_Row = TypeVar("_Row")
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Listed(Generic[_Row, _Item]):
    """What one request lists."""

    select: sa.Select[_Row, tables.User]
    """All rows of the company, each with its agent."""
    conditions: Sequence[sa.ColumnElement[bool]]
    order: Order
    build: Callable[[_Row, tables.User | None, list[Highlight] | None], _Item]
    """The highlights are None without a search."""
    searched: Searched
    fetch_texts: FetchTexts


async def fetch_page(
    session: AsyncSession,
    company_id: uuid.UUID,
    listed: Listed[_Row, _Item],
    text: str | None,
    *,
    limit: int,
    cursor: str | None,
    row_limits: RowLimits = DEFAULT_ROW_LIMITS,
) -> Page[_Item]:
    """Raises Refused. A blank text is no search."""
    order = listed.order
    if text is not None and text.strip():
        search = PageSearch(
            session,
            company_id,
            listed.searched,
            listed.conditions,
            order,
            limit,
            row_limits,
        )
        found = await finding.find(search, text, cursor, listed.fetch_texts)
        return await _fetch_found(session, listed, found)
    query = listed.select.where(*listed.conditions).add_columns(order.moment, order.id)
    rows = await session.execute(paging.narrow(query, order, limit=limit, cursor=cursor))
    page = paging.build_page(rows.all(), limit, lambda row: Key(row[2], row[3]))
    return Page([listed.build(row[0], row[1], None) for row in page.items], page.next_cursor)


async def _fetch_found(
    session: AsyncSession, listed: Listed[_Row, _Item], found: Found
) -> Page[_Item]:
    wanted, id_column = [key.id for key in found.page.items], listed.order.id
    query = listed.select.where(id_column.in_(wanted)).add_columns(id_column)
    rows = {row[2]: row for row in await session.execute(query)}
    # One that was deleted since its key was read is left out.
    items = [
        listed.build(rows[id_][0], rows[id_][1], found.highlights.get(id_, []))
        for id_ in wanted
        if id_ in rows
    ]
    return Page(items, found.page.next_cursor)
