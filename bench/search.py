"""Full text search and lists of tickets and calls, as the application role under row security.

    python -m bench.search [--tickets N] [--segments N] [--runs N] [--folder PATH]

A Postgres of its own holds two companies of the same size (100,000 tickets of 20 messages and
100,000 segments each) whose words are as frequent as those of a natural language. Each query runs
`--runs` times through the functions that the routes call, row, agents and highlights included, a
page of 50 each; the median and the 95th percentile are printed. With `--folder` the database stays
there and is used again.
"""

import argparse
import asyncio
import pathlib
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import sqlalchemy as sa
from parlance.api.db import migrate, session, tables
from parlance.api.db.session import Database
from parlance.api.domain.calls import queries as calls
from parlance.api.domain.calls.queries import CallFilter
from parlance.api.domain.search import finding
from parlance.api.domain.search.pages import PageSearch
from parlance.api.domain.tickets import queries as tickets
from parlance.api.domain.tickets import searching
from parlance.api.domain.tickets.queries import TicketFilter
from parlance.api.http import paging
from parlance.api.http.paging import Order
from parlance.api.settings import DatabaseSettings
from parlance.contracts.calls import CallStatus
from parlance.contracts.tickets import TicketState
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from bench import search_data
from bench.search_data import Sizes
from devstack import postgres

COMPANIES = [uuid.UUID(int=1), uuid.UUID(int=2)]
PAGE_ITEMS = 50
QUERIES = {
    "absent": "nothingofthekind",
    "rare, rank 15000": "wbfaaa",
    "medium, rank 1000": "wbaaa",
    "frequent, rank 400": "weaa",
    "common, rank 100": "wbaa",
    "in nearly all, rank 1": "wb",
    "two common": "wbaa wbab",
    "rare and common": "wbfaaa wb",
    "two medium": "wbaaa wbaab",
    "phrase of common": '"wbaa wbab"',
    "phrase of very common": '"wb wc"',
    "phrase of medium": '"wbaaa wbaab"',
    "either": "wbaaa or wbfaaa",
    "common without common": "wbaa -wb",
    "medium without medium": "wbaaa -wbaab",
    "beginning, 11 words": "wbfaa*",
    "beginning, 111 words": "wbfa*",
    "beginning, 1111 words": "wba*",
    "128 words": " ".join(["wb"] * 85),
    "40 alternatives": " or ".join(f"wba{letter}" for letter in "abcdefghij" * 4),
    "exclusions only": "-wb -wc",
}
"""`w` and the rank of a word, in letters for digits."""

Measured = Callable[[AsyncSession], Awaitable[object]]


async def main() -> None:
    options = _parse_options()
    with tempfile.TemporaryDirectory(prefix="bench-search-") as name:
        folder = options.folder or pathlib.Path(name)
        async with postgres.open_postgres(folder, is_durable=False) as server:
            owner = server.format_dsn(server.admin_user, server.admin_password, "bench")
            app = server.format_dsn("parlance_app", "bench", "bench")
            await migrate.upgrade(owner, app)
            await _fill(owner, Sizes(options.tickets, options.segments))
            settings = DatabaseSettings(database_url=SecretStr(app))
            async with session.open_database(settings) as database:
                await _measure_all(database, options.runs)


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--tickets", type=int, default=100_000)
    parser.add_argument("--segments", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--folder", type=pathlib.Path, help="default: a temporary one")
    return parser.parse_args()


async def _fill(owner: str, sizes: Sizes) -> None:
    connection = await asyncpg.connect(owner)
    try:
        if await connection.fetchval("SELECT count(*) FROM companies") == 0:
            await search_data.fill(connection, COMPANIES, sizes)
    finally:
        await connection.close()


async def _measure_all(database: Database, runs: int) -> None:
    print(f"{'p50 ms':>7} {'p95 ms':>7}  hits  query, {runs} runs each, page of {PAGE_ITEMS}")
    for kind, find in (("tickets", _find_tickets), ("calls", _find_calls)):
        for name, text in QUERIES.items():
            await _measure(database, f"{kind} q: {name}", find(text), runs)
    failed = col(tables.Ticket.state) == TicketState.FAILED
    tag = _has(tables.Ticket.tags, "topic7")
    for name, text in (("common", "wbaa"), ("medium", "wbaaa"), ("rare", "wbfaaa")):
        await _measure(database, f"tickets q: {name}, failed", _find_tickets(text, failed), runs)
        await _measure(database, f"tickets q: {name}, rare tag", _find_tickets(text, tag), runs)
        by_status = CallFilter(status=CallStatus.FAILED, q=text)
        await _measure(database, f"calls q: {name}, failed", _list_calls(by_status), runs)
    for name, conditions in (await _plan_lists(database)).items():
        await _measure(database, f"tickets: {name}", _list_tickets(conditions), runs)
    for name, text in (("", "C-77"), (" absent", "nobody"), (" of half", "Guest")):
        by_customer = _list_by_customer(text)
        await _measure(database, f"tickets: customer{name}", by_customer, runs)
    changed = [col(tables.Ticket.updated_at) >= datetime.now(UTC) - timedelta(days=3)]
    await _measure(
        database, "tickets: updated_since", _list_tickets(changed, is_by_change=True), runs
    )
    await _measure(database, "calls: all", _list_calls(CallFilter()), runs)


async def _measure(database: Database, name: str, measured: Measured, runs: int) -> None:
    seconds = []
    found: object = None
    for _ in range(runs + 2):
        started = time.perf_counter()
        async with database.company_session(COMPANIES[0]) as opened:
            found = await measured(opened)
        seconds.append(time.perf_counter() - started)
    # The first two fill the caches.
    p50, *_, p95 = [statistics.quantiles(seconds[2:], n=20)[place] for place in (9, 18)]
    print(f"{p50 * 1000:7.1f} {p95 * 1000:7.1f}  {found!s:>4}  {name}", flush=True)


def _find_tickets(text: str, *conditions: sa.ColumnElement[bool]) -> Measured:
    order = Order(col(tables.Ticket.created_at), col(tables.Ticket.id))

    async def find(opened: AsyncSession) -> object:
        search = PageSearch(opened, COMPANIES[0], searching.SEARCHED, conditions, order, PAGE_ITEMS)
        found = await finding.find(search, text, None, searching.fetch_texts)
        ids = [key.id for key in found.page.items]
        rows = await opened.scalars(sa.select(tables.Ticket).where(col(tables.Ticket.id).in_(ids)))
        return _count(len(rows.all()), found.page.next_cursor)

    return find


def _list_by_customer(customer: str) -> Measured:
    """Through the function of the route: it says how Postgres plans this query."""
    wanted = TicketFilter(customer=customer)

    async def fetch(opened: AsyncSession) -> object:
        page = await tickets.fetch_page(opened, COMPANIES[0], wanted, limit=PAGE_ITEMS, cursor=None)
        return _count(len(page.items), page.next_cursor)

    return fetch


def _find_calls(text: str) -> Measured:
    return _list_calls(CallFilter(q=text))


def _list_calls(wanted: CallFilter) -> Measured:
    async def fetch(opened: AsyncSession) -> object:
        page = await calls.fetch_page(opened, COMPANIES[0], wanted, limit=PAGE_ITEMS, cursor=None)
        return _count(len(page.items), page.next_cursor)

    return fetch


def _count(items: int, next_cursor: str | None) -> str:
    return f"{items}{'+' if next_cursor else ''}"


async def _plan_lists(database: Database) -> dict[str, Sequence[sa.ColumnElement[bool]]]:
    """The filters of the list of tickets, one at a time; that of the customer is apart."""
    ticket = tables.Ticket
    async with database.company_session(COMPANIES[0]) as opened:
        user_id = await opened.scalar(sa.select(col(tables.User.id)).limit(1))
    week = datetime.now(UTC) - timedelta(days=100)
    return {
        "all": [],
        "status": [col(ticket.status) == "open"],
        "state common": [col(ticket.state) == TicketState.COMPLETED],
        "state rare": [col(ticket.state) == TicketState.FAILED],
        "state absent": [col(ticket.state) == TicketState.CANCELLED],
        "user": [col(ticket.user_id) == user_id],
        "external_id": [col(ticket.external_id) == "Z-99000"],
        "channel": [col(ticket.channel) == "chat"],
        "channel absent": [col(ticket.channel) == "fax"],
        "tag": [_has(ticket.tags, "tag3")],
        "tag rare": [_has(ticket.tags, "topic7")],
        "tag absent": [_has(ticket.tags, "nothing")],
        "sentiment": [col(ticket.sentiment_label) == "negative"],
        "tracker": [_has(ticket.tracker_names, "refund")],
        "tracker absent": [_has(ticket.tracker_names, "nothing")],
        "created range": [
            col(ticket.created_at) >= week,
            col(ticket.created_at) < week + timedelta(days=10),
        ],
    }


def _has(column: Any, value: str) -> sa.ColumnElement[bool]:
    return sa.literal(value) == sa.any_(col(column))


def _list_tickets(
    conditions: Sequence[sa.ColumnElement[bool]], *, is_by_change: bool = False
) -> Measured:
    ticket = tables.Ticket
    moment = col(ticket.updated_at) if is_by_change else col(ticket.created_at)
    order = Order(moment, col(ticket.id), is_oldest_first=is_by_change)
    query = sa.select(ticket).where(col(ticket.company_id) == COMPANIES[0], *conditions)

    async def fetch(opened: AsyncSession) -> object:
        narrowed = paging.narrow(query, order, limit=PAGE_ITEMS, cursor=None)
        rows = (await opened.scalars(narrowed)).all()
        return _count(min(len(rows), PAGE_ITEMS), "more" if len(rows) > PAGE_ITEMS else None)

    return fetch


if __name__ == "__main__":
    asyncio.run(main())
