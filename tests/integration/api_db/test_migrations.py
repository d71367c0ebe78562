"""Migrations and the rights of the application role, on a real Postgres."""

import asyncio
import pathlib
import uuid
from typing import Any

import asyncpg
import pytest
from alembic import command
from parlance.api.db import migrate, roles, session, tables

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


async def test_every_table_has_forced_row_security_and_both_policies(urls: Urls) -> None:
    query = """
        SELECT relname, relrowsecurity AND relforcerowsecurity AS forced,
               (SELECT array_agg(polname::text ORDER BY polname) FROM pg_policy
                WHERE polrelid = pg_class.oid) AS policies
        FROM pg_class WHERE relname = ANY($1::text[]) AND relkind = 'r'
    """
    found = await fetch(urls.owner, query, list(tables.Table.metadata.tables))

    assert len(found) == len(tables.Table.metadata.tables)
    for row in found:
        assert row["forced"], row["relname"]
        assert row["policies"] == ["own_company", "system"], row["relname"]


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
