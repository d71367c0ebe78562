"""Databases of one's own in the shared Postgres, copied from a migrated template."""

import pathlib
import uuid
from dataclasses import dataclass

import asyncpg
from parlance.api.db import migrate

from devstack.postgres import Postgres

TEMPLATE = "template_parlance"


@dataclass(frozen=True)
class Urls:
    """Addresses of one database."""

    owner: str
    app: str


def plan_database(server: Postgres) -> Urls:
    """Addresses of a database that does not exist yet."""
    return _format_urls(server, f"test_{uuid.uuid4().hex}")


async def create_database(server: Postgres) -> Urls:
    """A migrated one."""
    urls = plan_database(server)
    connection = await asyncpg.connect(server.admin_dsn)
    try:
        await connection.execute(f"CREATE DATABASE {_name_of(urls)} TEMPLATE {TEMPLATE}")
    finally:
        await connection.close()
    return urls


async def prepare_template(server: Postgres) -> None:
    urls = _format_urls(server, TEMPLATE)
    await migrate.upgrade(urls.owner, urls.app)


def _format_urls(server: Postgres, name: str) -> Urls:
    # The superuser owns the tables, so that tests see through row security by `owner`.
    return Urls(
        owner=server.format_dsn(server.admin_user, server.admin_password, name),
        app=server.format_dsn("parlance_app", "app-secret", name),
    )


def _name_of(urls: Urls) -> str:
    return pathlib.PurePosixPath(urls.owner).name
