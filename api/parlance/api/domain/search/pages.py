"""A page of the rows that match a query, in the order of their list and within its other filters.

Two ways lead there, and neither is quick for every word. The first rows of the list can be checked
one by one: a common word fills the page from a few. Or the index names all rows of the company that
have the words: quick for rare ones, while of a common word it names nearly everything. So the first
few hundred rows are checked, and the index is asked when they did not fill the page.

A request checks a bounded number of rows. When they do not fill the page (a phrase of common words
that rarely stand side by side), the page is shorter and its cursor is where the search stopped.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from parlance.api.db.search import Search
from parlance.api.domain.search import queries
from parlance.api.domain.search.queries import Query
from parlance.api.http import paging
from parlance.api.http.paging import Key, Order, Page
from sqlalchemy.ext.asyncio import AsyncSession

_Keys = sa.Select[datetime, uuid.UUID]


@dataclass(frozen=True, slots=True)
class Searched:
    """A list whose rows have their words in `texts.search`, in one or several rows of `texts`."""

    id: sa.SQLColumnExpression[uuid.UUID]
    """Of the list's rows; `texts` names it in `search.id_column`."""
    company_id: sa.SQLColumnExpression[uuid.UUID]
    texts: sa.Table
    search: Search


@dataclass(frozen=True, slots=True)
class RowLimits:
    """How many rows one request checks."""

    first: tuple[int, ...] = (100, 300)
    """Of the list, one by one before the index is asked, in steps: a row takes 20 to 30 us, and the
    most common words fill a page with the first step."""
    named: int = 1000
    """Of those that the index names."""


DEFAULT_ROW_LIMITS = RowLimits()


@dataclass(frozen=True, slots=True)
class PageSearch:
    """What one request asks of one list."""

    session: AsyncSession
    company_id: uuid.UUID
    searched: Searched
    conditions: Sequence[sa.ColumnElement[bool]]
    """The other filters, on the list's own table."""
    order: Order
    limit: int
    row_limits: RowLimits = DEFAULT_ROW_LIMITS

    async def find(self, query: Query, cursor: str | None) -> Page[Key]:
        """The keys of the hits. Raises Refused for a cursor that `paging` did not make."""
        hits: list[Key] = []
        for size in self.row_limits.first:
            rows = await self._check(self._select(), query, size, cursor)
            hits += [key for key, is_hit in rows if is_hit]
            if len(hits) > self.limit or len(rows) < size:
                return self._build_page(hits)
            cursor = paging.format_cursor(rows[-1][0])
        named = self._select_named(query.candidate)
        if query.is_candidate_exact:
            return self._build_page(hits + await self._fetch(named, self.limit + 1, cursor))
        rows = await self._check(named, query, self.row_limits.named, cursor)
        hits += [key for key, is_hit in rows if is_hit]
        page = self._build_page(hits)
        if page.next_cursor is None and len(rows) == self.row_limits.named:
            return Page(page.items, paging.format_cursor(rows[-1][0]))
        return page

    def _select(self) -> _Keys:
        of_company = self.searched.company_id == self.company_id
        return sa.select(self.order.moment, self.order.id).where(of_company, *self.conditions)

    def _select_named(self, candidate: str) -> _Keys:
        function: Callable[..., sa.Function[Any]] = getattr(sa.func, self.searched.search.name)
        named = function(self.company_id, queries.as_tsquery(candidate)).column_valued("named")
        return self._select().where(self.searched.id == named)

    async def _fetch(self, select: _Keys, rows: int, cursor: str | None) -> list[Key]:
        select = paging.narrow(select, self.order, limit=rows - 1, cursor=cursor)
        return [Key(*row) for row in await self.session.execute(select)]

    async def _check(
        self, select: _Keys, query: Query, rows: int, cursor: str | None
    ) -> list[tuple[Key, bool]]:
        """The rows, at most `rows`, each with whether it is a hit."""
        # Apart from the rows' own query, so that no more than these are checked.
        some = paging.narrow(select, self.order, limit=rows - 1, cursor=cursor).subquery()
        moment, id_ = some.columns
        is_hit = self._build_check(id_, query.exact)
        direction = sa.asc if self.order.is_oldest_first else sa.desc
        checked = sa.select(moment, id_, is_hit).order_by(direction(moment), direction(id_))
        return [(Key(*row[:2]), row[2]) for row in await self.session.execute(checked)]

    def _build_check(self, id_: sa.ColumnElement[uuid.UUID], exact: str) -> sa.ColumnElement[bool]:
        # A scalar subquery: Postgres would turn EXISTS into a join that reads every vector.
        texts, search = self.searched.texts, self.searched.search
        found = sa.select(sa.true()).where(
            texts.c.company_id == self.company_id,
            texts.c[search.id_column] == id_,
            texts.c.search.op("@@")(queries.as_tsquery(exact)),
        )
        return found.limit(1).scalar_subquery().is_not(None)

    def _build_page(self, hits: list[Key]) -> Page[Key]:
        return paging.build_page(hits, self.limit, lambda key: key)
