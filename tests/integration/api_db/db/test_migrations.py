"""Migrations and the rights of the application role, on a real Postgres."""

import asyncio
import pathlib
import uuid
from typing import Any

import asyncpg
import pytest
from alembic import command
from parlance.api.db import migrate, roles, search, session, tables

from devstack.postgres import Postgres
from tests.integration.databases import Urls


async def fetch(url: str, query: str, *args: object) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query, *args))
    finally:
        await connection.close()


async def test_upgrade_creates_database_role_and_tables(empty_urls: Urls) -> None:
    role = await migrate.upgrade(empty_urls.owner, empty_urls.app)

    names = {row["tablename"] for row in await fetch(empty_urls.app, "SELECT * FROM pg_tables")}
    assert role == "parlance_app"
    assert set(tables.Table.metadata.tables) <= names


async def test_migrated_schema_equals_the_tables(urls: Urls) -> None:
    assert await migrate.find_differences(urls.owner) == []


async def test_upgrade_again_changes_nothing(urls: Urls) -> None:
    before = await fetch(urls.owner, "SELECT attname, attrelid FROM pg_attribute ORDER BY 2, 1")

    await migrate.upgrade(urls.owner, urls.app)

    after = await fetch(urls.owner, "SELECT attname, attrelid FROM pg_attribute ORDER BY 2, 1")
    assert after == before


async def test_two_upgrades_at_once_both_succeed(empty_urls: Urls) -> None:
    both = [migrate.upgrade(empty_urls.owner, empty_urls.app) for _ in range(2)]

    assert await asyncio.gather(*both) == ["parlance_app", "parlance_app"]


async def test_downgrade_leaves_no_table(urls: Urls) -> None:
    engine = session.build_single_engine(urls.owner)
    async with engine.begin() as connection:
        await connection.run_sync(lambda c: command.downgrade(migrate.build_config(c), "base"))
    await engine.dispose()

    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    assert [row["tablename"] for row in await fetch(urls.owner, query)] == ["alembic_version"]


async def migrate_to(url: str, version: str) -> None:
    engine = session.build_single_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(lambda c: command.downgrade(migrate.build_config(c), version))
    await engine.dispose()


OLD_ROWS = """
    SET app.system = 'on';
    INSERT INTO companies (id, slug, name) VALUES ('{company}', 'acme', 'Acme');
    INSERT INTO calls (id, company_id, attempt, percent, language, redact_pii, allow_duplicate,
                       duration_estimated)
    VALUES ('{call}', '{company}', 1, 100, 'auto', false, false, false);
    INSERT INTO segments (call_id, index, company_id, id, channel, speaker, start_seconds,
                          end_seconds, text)
    VALUES ('{call}', 0, '{company}', '0-0', 0, 'speaker_0', 0, 1, 'two cities');
    INSERT INTO insights (call_id, company_id, attempt, profile)
    VALUES ('{call}', '{company}', 1, 'lexical');
    INSERT INTO outbox (id, company_id, subject_id, priority, attempts)
    VALUES ('{call}', '{company}', '{call}', 1, 0);
    INSERT INTO deletions (call_id, company_id, calljob_name, attempts)
    VALUES ('{deleted}', '{company}', 'call-x', 2);
"""


async def test_rows_of_the_first_version_are_there_after_the_second(urls: Urls) -> None:
    company, call, deleted = [uuid.uuid4() for _ in range(3)]
    await migrate_to(urls.owner, "0001")
    connection = await asyncpg.connect(urls.owner)
    try:
        await connection.execute(OLD_ROWS.format(company=company, call=call, deleted=deleted))
    finally:
        await connection.close()

    await migrate.upgrade(urls.owner, urls.app)
    segments = await fetch(urls.owner, "SELECT call_id, text, search::text FROM call_segments")
    insights = await fetch(urls.owner, "SELECT call_id, profile FROM call_insights")
    outbox = await fetch(urls.owner, "SELECT kind, subject_id FROM outbox")
    deletions = await fetch(
        urls.owner, "SELECT kind, subject_id, resource_name, attempts FROM deletions"
    )
    assert [tuple(row) for row in segments] == [(call, "two cities", "'cities':2 'two':1")]
    assert [tuple(row) for row in insights] == [(call, "lexical")]
    assert [tuple(row) for row in outbox] == [("call", call)]
    assert [tuple(row) for row in deletions] == [("call", deleted, "call-x", 2)]
    assert await migrate.find_differences(urls.owner) == []


OLD_TICKETS = """
    SET app.system = 'on';
    INSERT INTO companies (id, slug, name) VALUES ('{company}', 'acme', 'Acme');
    INSERT INTO tickets (id, company_id, customer, language, redact_pii, content_hash, revision,
                         message_count, attempt)
    SELECT gen_random_uuid(), '{company}', customer::jsonb, 'auto', false, '', 1, 1, 1
    FROM unnest(ARRAY[
        '{{"external_id": "C-1", "name": "Ada", "email": "Ada@Example.com"}}', '{{}}'
    ]) customer;
"""


async def test_tickets_of_the_fourth_version_are_found_by_their_customer(urls: Urls) -> None:
    await migrate_to(urls.owner, "0004")
    connection = await asyncpg.connect(urls.owner)
    try:
        await connection.execute(OLD_TICKETS.format(company=uuid.uuid4()))
    finally:
        await connection.close()

    await migrate.upgrade(urls.owner, urls.app)
    columns = "customer_external_id, customer_name, customer_email"
    found = await fetch(urls.owner, f"SELECT {columns} FROM tickets ORDER BY 1")  # noqa: S608 - the columns above
    assert [tuple(row) for row in found] == [
        ("C-1", "Ada", "ada@example.com"),
        (None, None, None),
    ]
    assert await migrate.find_differences(urls.owner) == []


async def test_constraints_are_named_after_the_new_tables(urls: Urls) -> None:
    query = """
        SELECT conname FROM pg_constraint
        WHERE contype <> 'n' AND conrelid IN ('call_segments'::regclass, 'call_insights'::regclass)
    """
    names = {row["conname"] for row in await fetch(urls.owner, query)}

    assert names == {
        "pk_call_segments",
        "fk_call_segments_call_id",
        "fk_call_segments_company_id",
        "ck_call_segments_role",
        "pk_call_insights",
        "fk_call_insights_call_id",
        "fk_call_insights_company_id",
    }


async def test_an_outbox_row_of_any_kind_is_taken(urls: Urls) -> None:
    query = """
        SELECT conname FROM pg_constraint
        WHERE contype = 'c' AND conrelid = 'outbox'::regclass
    """

    assert await fetch(urls.owner, query) == []


async def test_every_table_has_forced_row_security_and_its_policies(urls: Urls) -> None:
    query = """
        SELECT relname, relrowsecurity AND relforcerowsecurity AS forced,
               (SELECT array_agg(polname::text ORDER BY polname) FROM pg_policy
                WHERE polrelid = pg_class.oid) AS policies
        FROM pg_class WHERE relname = ANY($1::text[]) AND relkind = 'r'
    """
    found = await fetch(urls.owner, query, list(tables.Table.metadata.tables))

    assert len(found) == len(tables.Table.metadata.tables)
    searched = {each.table for each in search.SEARCHES}
    for row in found:
        name, ours = row["relname"], [search.POLICY] if row["relname"] in searched else []
        assert row["forced"], name
        assert row["policies"] == ["own_company", *ours, "system"], name


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit",
        "UPDATE companies SET slug = 'other'",
        "DELETE FROM companies",
        "ALTER TABLE calls DISABLE ROW LEVEL SECURITY",
        "DROP TABLE calls",
    ],
)
async def test_application_role_may_not(urls: Urls, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await fetch(urls.app, statement)


async def test_an_ordinary_owner_can_migrate(postgres_server: Postgres, empty_urls: Urls) -> None:
    name = f"owner_{uuid.uuid4().hex[:8]}"
    database = pathlib.PurePosixPath(empty_urls.owner).name
    await fetch(postgres_server.admin_dsn, f"CREATE ROLE {name} LOGIN NOSUPERUSER PASSWORD 'o'")
    await fetch(postgres_server.admin_dsn, f"CREATE DATABASE {database} OWNER {name}")
    owner = postgres_server.format_dsn(name, "o", database)
    for _ in range(2):
        await migrate.upgrade(owner, empty_urls.app)

    assert await fetch(empty_urls.app, "SELECT * FROM calls") == []


async def test_a_superuser_is_refused_as_application_role(urls: Urls) -> None:
    with pytest.raises(roles.UnsafeRole):
        await migrate.upgrade(urls.owner, urls.owner)
