"""A real Postgres for all tests here, and an own migrated database for each of them."""

import asyncio
import pathlib
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest
import pytest_asyncio
from parlance.api.db import migrate, session, tables
from parlance.api.db.session import Database
from parlance.api.settings import DatabaseSettings
from pydantic import SecretStr

from devstack import postgres

TEMPLATE = "template_parlance"


@dataclass(frozen=True)
class Urls:
    """Addresses of one database."""

    owner: str
    app: str


@dataclass(frozen=True)
class Tenant:
    """A company that a test works with."""

    id: uuid.UUID
    slug: str


def format_urls(server: postgres.Postgres, name: str) -> Urls:
    return Urls(
        owner=server.format_dsn(server.admin_user, server.admin_password, name),
        app=server.format_dsn("parlance_app", "app-secret", name),
    )


def build_settings(urls: Urls, **changes: float) -> DatabaseSettings:
    return DatabaseSettings(database_url=SecretStr(urls.app), **changes)  # type: ignore[arg-type]  # numbers


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[postgres.Postgres]:
    folder = tmp_path_factory.mktemp("postgres")
    async with postgres.open_postgres(folder, is_durable=False) as opened:
        urls = format_urls(opened, TEMPLATE)
        await migrate.upgrade(urls.owner, urls.app)
        yield opened


@pytest.fixture
async def empty_urls(server: postgres.Postgres) -> Urls:
    """A database that does not exist yet."""
    return format_urls(server, f"test_{uuid.uuid4().hex}")


@pytest.fixture
async def urls(server: postgres.Postgres, empty_urls: Urls) -> Urls:
    """A migrated database of one's own."""
    name = pathlib.PurePosixPath(empty_urls.owner).name
    connection = await asyncpg.connect(server.admin_dsn)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    finally:
        await connection.close()
    return empty_urls


@pytest.fixture
async def database(urls: Urls) -> AsyncIterator[Database]:
    async with session.open_database(build_settings(urls)) as opened:
        yield opened


async def add_company(database: Database, slug: str) -> Tenant:
    async with database.system_session() as transaction:
        company = tables.Company(slug=slug, name=slug.title())
        transaction.add(company)
    return Tenant(id=company.id, slug=slug)


@pytest.fixture
async def acme(database: Database) -> Tenant:
    return await add_company(database, "acme")


@pytest.fixture
async def globex(database: Database) -> Tenant:
    return await add_company(database, "globex")


async def wait_for(event: asyncio.Event) -> None:
    async with asyncio.timeout(10):
        await event.wait()
