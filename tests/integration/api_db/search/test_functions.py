"""The functions that search for every company: who may execute them, and for which one."""

import pathlib
import uuid
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from alembic import command
from parlance.api.db import migrate, search, searcher, session
from parlance.api.db.errors import QueryRejected
from parlance.api.db.search import Search
from parlance.api.db.searcher import UnsafeSearcher
from parlance.api.db.session import Database

from devstack.postgres import Postgres
from tests.integration.api_db import support as api_db
from tests.integration.api_db.search import support
from tests.integration.api_db.support import Tenant
from tests.integration.databases import Urls

EACH = pytest.mark.parametrize("each", search.SEARCHES, ids=lambda each: each.name)


async def fetch(url: str, query: str, *args: object) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(query, *args))
    finally:
        await connection.close()


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def add_one_each(database: Database, company: Tenant, text: str) -> dict[str, uuid.UUID]:
    return {
        search.CALLS.name: await support.add_call(database, company, text, text),
        search.TICKETS.name: await support.add_ticket(database, company, text),
    }


async def call(database: Database, company: Tenant, each: Search, argument: uuid.UUID) -> list[Any]:
    """As the application role in a session of `company`, for the company `argument`."""
    statement = sa.text(f"SELECT {each.name}(:company, 'shared'::tsquery)")
    async with database.company_session(company.id) as opened:
        return list(await opened.scalars(statement, {"company": argument}))


@EACH
async def test_a_search_names_the_rows_of_its_company_once(
    database: Database, acme: Tenant, globex: Tenant, each: Search
) -> None:
    ours = await add_one_each(database, acme, "a shared word")
    theirs = await add_one_each(database, globex, "a shared word")

    assert await call(database, acme, each, acme.id) == [ours[each.name]]
    assert await call(database, globex, each, globex.id) == [theirs[each.name]]


@EACH
async def test_a_search_for_another_company_is_refused(
    database: Database, acme: Tenant, globex: Tenant, each: Search
) -> None:
    await add_one_each(database, globex, "a shared word")
    with pytest.raises(QueryRejected) as caught:
        await call(database, acme, each, globex.id)

    assert caught.value.sqlstate == "42501"


@EACH
async def test_a_search_without_a_company_is_refused(
    database: Database, urls: Urls, acme: Tenant, each: Search
) -> None:
    await add_one_each(database, acme, "a shared word")
    query = f"SELECT {each.name}($1, 'shared'::tsquery)"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await fetch(urls.app, query, acme.id)
    with pytest.raises(QueryRejected):
        async with database.system_session() as opened:
            await opened.execute(sa.select(getattr(sa.func, each.name)(acme.id, sa.text("''"))))


@EACH
async def test_only_the_application_role_may_search(urls: Urls, each: Search) -> None:
    query = "SELECT proacl::text[] AS rights, pg_get_userbyid(proowner) AS owner FROM pg_proc"
    [row] = await fetch(urls.owner, f"{query} WHERE proname = $1", each.name)

    assert row["owner"] == searcher.ROLE
    assert sorted(row["rights"]) == [
        "parlance_app=X/parlance_search",
        "parlance_search=X/parlance_search",
    ]


async def test_the_role_that_searches_has_no_rights_but_the_columns(urls: Urls) -> None:
    [role] = await fetch(urls.owner, "SELECT * FROM pg_roles WHERE rolname = $1", searcher.ROLE)
    columns = await fetch(
        urls.owner,
        "SELECT table_name, column_name, privilege_type FROM information_schema.column_privileges"
        " WHERE grantee = $1",
        searcher.ROLE,
    )

    attributes = ("rolcanlogin", "rolsuper", "rolbypassrls", "rolcreaterole", "rolcreatedb")
    assert not any(role[name] for name in attributes)
    assert {tuple(row) for row in columns} == {
        (each.table, column, "SELECT") for each in search.SEARCHES for column in each.columns
    }
    may_create = "SELECT has_schema_privilege($1, 'public', 'CREATE') AS may"
    assert not (await fetch(urls.owner, may_create, searcher.ROLE))[0]["may"]


async def test_the_application_role_cannot_become_the_role_that_searches(urls: Urls) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await execute(urls.app, f"SET ROLE {searcher.ROLE}")


async def test_a_caller_cannot_lend_its_own_functions(
    database: Database, urls: Urls, acme: Tenant
) -> None:
    """Temporary objects come first in the search path of a session, but not in a function's."""
    await add_one_each(database, acme, "a shared word")
    connection = await asyncpg.connect(urls.app)
    try:
        await connection.execute("CREATE TEMPORARY TABLE call_segments (call_id uuid)")
        await connection.execute("SELECT set_config('app.company', $1, false)", str(acme.id))
        found = await connection.fetch("SELECT search_call_ids($1, 'shared'::tsquery)", acme.id)
    finally:
        await connection.close()

    assert len(found) == 1


@EACH
async def test_a_search_uses_its_index(urls: Urls, each: Search) -> None:
    """By the role that searches, with its policy beside those of companies."""
    of_company = f"ARRAY[company_id] @> ARRAY['{uuid.UUID(int=1)}'::uuid]"
    query = f"SELECT {each.id_column} FROM {each.table} WHERE {of_company} AND search @@ 'a'"  # noqa: S608 - constants
    connection = await asyncpg.connect(urls.owner)
    try:
        await connection.execute(f"SET ROLE {searcher.ROLE}; SET enable_seqscan = off")
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {query}"))
    finally:
        await connection.close()

    assert each.index in plan
    assert "app.company" not in plan


async def test_an_owner_that_may_not_create_roles_searches_itself(
    postgres_server: Postgres, empty_urls: Urls
) -> None:
    owner = await create_owner(postgres_server, empty_urls)
    for _ in range(2):
        await migrate.upgrade(owner.url, empty_urls.app)

    assert await fetch_owners(owner.url) == {owner.name}
    await check_search(empty_urls)


async def test_an_owner_that_was_granted_the_role_gives_it_the_functions(
    postgres_server: Postgres, empty_urls: Urls
) -> None:
    owner = await create_owner(postgres_server, empty_urls)
    await migrate.upgrade(owner.url, empty_urls.app)
    grant = f"GRANT {searcher.ROLE} TO {owner.name} WITH INHERIT FALSE, SET TRUE"
    await execute(postgres_server.admin_dsn, grant)
    for _ in range(2):
        await migrate.upgrade(owner.url, empty_urls.app)

    assert await fetch_owners(owner.url) == {searcher.ROLE}
    await check_search(empty_urls)
    await downgrade(owner.url, "0003")


async def test_an_application_role_that_could_become_the_searcher_is_refused(
    postgres_server: Postgres, empty_urls: Urls
) -> None:
    name = f"app_{uuid.uuid4().hex[:8]}"
    await execute(
        postgres_server.admin_dsn,
        f"CREATE ROLE {name} LOGIN PASSWORD 'a'",
        f"GRANT {searcher.ROLE} TO {name} WITH INHERIT FALSE, SET TRUE",
    )
    app = postgres_server.format_dsn(name, "a", pathlib.PurePosixPath(empty_urls.app).name)
    with pytest.raises(UnsafeSearcher):
        await migrate.upgrade(empty_urls.owner, app)


async def test_downgrade_takes_the_search_away_and_upgrade_brings_it_back(urls: Urls) -> None:
    await downgrade(urls.owner, "0003")
    left = "SELECT proname FROM pg_proc WHERE proname LIKE 'search_%_ids'"
    assert await fetch(urls.owner, left) == []
    assert await fetch(urls.owner, "SELECT * FROM pg_policies WHERE policyname = 'search'") == []

    await migrate.upgrade(urls.owner, urls.app)
    assert await migrate.find_differences(urls.owner) == []
    assert await fetch_owners(urls.owner) == {searcher.ROLE}


class Owner:
    """An ordinary role that owns a database."""

    def __init__(self, server: Postgres, database: str) -> None:
        self.name = f"owner_{uuid.uuid4().hex[:8]}"
        self.url = server.format_dsn(self.name, "o", database)


async def create_owner(server: Postgres, urls: Urls) -> Owner:
    database = pathlib.PurePosixPath(urls.owner).name
    owner = Owner(server, database)
    await execute(
        server.admin_dsn,
        f"CREATE ROLE {owner.name} LOGIN NOSUPERUSER PASSWORD 'o'",
        f"CREATE DATABASE {database} OWNER {owner.name}",
    )
    return owner


async def fetch_owners(url: str) -> set[str]:
    names = [each.name for each in search.SEARCHES]
    query = "SELECT pg_get_userbyid(proowner) AS name FROM pg_proc WHERE proname = ANY($1::text[])"
    return {row["name"] for row in await fetch(url, query, names)}


async def check_search(urls: Urls) -> None:
    """That it finds a company's own rows, whoever the functions run as."""
    async with session.open_database(api_db.build_settings(urls)) as database:
        acme = await api_db.add_company(database, f"acme-{uuid.uuid4().hex[:8]}")
        globex = await api_db.add_company(database, f"globex-{uuid.uuid4().hex[:8]}")
        ours = await add_one_each(database, acme, "a shared word")
        await add_one_each(database, globex, "a shared word")
        for each in search.SEARCHES:
            assert await call(database, acme, each, acme.id) == [ours[each.name]]
            with pytest.raises(QueryRejected):
                await call(database, acme, each, globex.id)


async def downgrade(url: str, version: str) -> None:
    engine = session.build_single_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(lambda c: command.downgrade(migrate.build_config(c), version))
    await engine.dispose()
