"""The list of tickets of one customer: who is found by what, and that it is found by index."""

import contextlib
import uuid
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.domain.tickets import queries
from parlance.api.domain.tickets.queries import TicketFilter
from sqlalchemy import event

from tests.integration.api_db.support import Tenant
from tests.integration.api_db.tickets.support import add_ticket
from tests.integration.databases import Urls

ADA: tables.Json = {
    "external_id": "C-1",
    "name": "Ada",
    "email": "Ada@Example.com",
    "phone": "+49 30 1",
}
MANY_TICKETS = """
    INSERT INTO tickets (id, company_id, customer, language, redact_pii, content_hash, revision,
        message_count, attempt, created_at)
    SELECT gen_random_uuid(), $1, jsonb_build_object('external_id', 'C-' || n, 'name', 'Name ' || n,
        'email', n || '@example.com'), 'auto', false, '', 1, 1, 1, now() - n * interval '1 minute'
    FROM generate_series(1, 2000) n
"""
INDEXES = {
    "ix_tickets_company_id_customer_external_id",
    "ix_tickets_company_id_customer_name",
    "ix_tickets_company_id_customer_email",
}


async def list_ids(database: Database, company: Tenant, customer: str) -> list[uuid.UUID]:
    async with database.company_session(company.id) as session:
        wanted = TicketFilter(customer=customer)
        page = await queries.fetch_page(session, company.id, wanted, limit=50, cursor=None)
    return [found.ticket.id for found in page.items]


@pytest.mark.parametrize(
    ("customer", "is_found"),
    [
        ("C-1", True),
        ("c-1", False),
        ("Ada", True),
        ("ada", False),
        ("Ada@Example.com", True),
        ("ADA@example.COM", True),
        ("+49 30 1", False),
        ("", False),
    ],
)
async def test_a_customer_is_found_by_id_name_or_address(
    database: Database, acme: Tenant, globex: Tenant, customer: str, is_found: bool
) -> None:
    ours = await add_ticket(database, acme.id, customer=ADA)
    await add_ticket(database, acme.id, customer={"name": "Bo"})
    await add_ticket(database, acme.id)
    await add_ticket(database, globex.id, customer=ADA)

    assert await list_ids(database, acme, customer) == ([ours.id] if is_found else [])


async def test_a_changed_customer_is_found_by_what_it_is_now(
    database: Database, acme: Tenant
) -> None:
    ticket = await add_ticket(database, acme.id, customer=ADA)
    async with database.company_session(acme.id) as session:
        stored = await session.get_one(tables.Ticket, ticket.id)
        stored.customer = {"name": "Grace", "external_id": "C-1"}

    assert await list_ids(database, acme, "Ada") == []
    assert await list_ids(database, acme, "ada@example.com") == []
    assert await list_ids(database, acme, "Grace") == [ticket.id]
    assert await list_ids(database, acme, "C-1") == [ticket.id]


@pytest.fixture
async def many(urls: Urls, acme: Tenant) -> None:
    """So many tickets, one of each customer, that reading the list is not the quickest way."""
    owner = await asyncpg.connect(urls.owner)
    try:
        await owner.execute(MANY_TICKETS, acme.id)
        await owner.execute("ANALYZE tickets")
    finally:
        await owner.close()


@pytest.mark.usefixtures("many")
async def test_the_list_of_a_customer_uses_its_indexes(database: Database, acme: Tenant) -> None:
    """As the application role: row security rules out indexes whose operator is not leakproof."""
    with watch_lists() as executed:
        await list_ids(database, acme, "nobody")
    [(statement, parameters)] = executed
    async with database.company_session(acme.id) as session:
        connection = await session.connection()
        rows = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        plan = "\n".join(rows.scalars())

    assert {name for name in INDEXES if name in plan} == INDEXES


@pytest.mark.usefixtures("many")
async def test_each_customer_gets_a_plan_of_its_own(database: Database, acme: Tenant) -> None:
    """After five executions Postgres would keep the plan for a customer with few tickets."""
    counts = sa.text(
        "SELECT generic_plans, custom_plans FROM pg_prepared_statements"
        " WHERE statement LIKE '%customer_name = %' AND statement NOT LIKE '%pg_prepared%'"
    )
    wanted = TicketFilter(customer="nobody")
    async with database.company_session(acme.id) as session:
        for _ in range(8):
            await queries.fetch_page(session, acme.id, wanted, limit=50, cursor=None)
        [found] = await session.execute(counts)

    assert tuple(found) == (0, 8)


@contextlib.contextmanager
def watch_lists() -> Iterator[list[tuple[str, Any]]]:
    """Statements that read tickets, with their parameters."""
    executed: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FROM tickets" in statement:
            executed.append((statement, parameters))

    event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield executed
    finally:
        event.remove(sa.Engine, "before_cursor_execute", note)
