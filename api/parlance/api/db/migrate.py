"""Brings a database to the newest schema: `python -m parlance.api migrate`.

Run as the owner, before new processes start. Safe to repeat and to run twice at once: the second
waits for an advisory lock and finds nothing to do.
"""

import pathlib
import urllib.parse

import asyncpg
import sqlalchemy as sa
from alembic import command, config
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from parlance.api.db import roles, session, tables
from sqlalchemy.engine import Connection

_FOLDER = pathlib.Path(__file__).parent / "migrations"
_LOCK_KEY = 0x7061_726C  # "parl"; any fixed number does
_MAINTENANCE_DATABASE = "postgres"
LOCK_TIMEOUT_SECONDS = 10
"""A migration that cannot get its table lock must fail rather than queue up all other queries."""
WAIT_FOR_OTHER_SECONDS = 300


async def upgrade(owner_url: str, app_url: str) -> str:
    """Create the database if it is missing, migrate it to the newest version and apply the
    application role's rights. Returns the role's name. Raises UnsafeRole, UnsafeSearcher,
    DatabaseUnavailable."""
    engine = session.build_single_engine(owner_url)
    try:
        with session.translated(is_connecting=True):
            await _create_missing_database(owner_url)
            async with engine.begin() as connection:
                return await connection.run_sync(_upgrade, app_url)
    finally:
        await engine.dispose()


async def find_differences(owner_url: str) -> list[object]:
    """What autogenerate would add to make the database equal to the tables; empty is right."""
    engine = session.build_single_engine(owner_url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_find_differences)
    finally:
        await engine.dispose()


async def write_revision(owner_url: str, message: str) -> None:
    """Write a new version file with what the tables have and the migrated database lacks."""
    engine = session.build_single_engine(owner_url)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(
                lambda sync: command.revision(build_config(sync), message, autogenerate=True)
            )
    finally:
        await engine.dispose()


def build_config(connection: Connection) -> config.Config:
    """Alembic's configuration; there is no ini file."""
    settings = config.Config()
    settings.set_main_option("script_location", str(_FOLDER))
    settings.set_main_option("path_separator", "os")
    settings.attributes["connection"] = connection
    return settings


async def _create_missing_database(owner_url: str) -> None:
    try:
        connection = await asyncpg.connect(owner_url)
    except asyncpg.InvalidCatalogNameError:
        name = urllib.parse.unquote(urllib.parse.urlsplit(owner_url).path.strip("/"))
        connection = await asyncpg.connect(owner_url, database=_MAINTENANCE_DATABASE)
        try:
            quoted = await connection.fetchval("SELECT quote_ident($1)", name)
            await connection.execute(f"CREATE DATABASE {quoted} ENCODING 'UTF8' TEMPLATE template0")
        except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
            pass  # another migration was faster
        finally:
            await connection.close()
    else:
        await connection.close()


def _upgrade(connection: Connection, app_url: str) -> str:
    connection.execute(sa.text(f"SET LOCAL lock_timeout = '{WAIT_FOR_OTHER_SECONDS}s'"))
    connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK_KEY})"))
    connection.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'"))
    # Row security binds the owner too: a version that changes rows has to see them all.
    connection.execute(sa.text("SELECT set_config('app.system', 'on', true)"))
    command.upgrade(build_config(connection), "head")
    return roles.apply_rights(connection, app_url)


def _find_differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": True}
    )
    return list(compare_metadata(context, tables.Table.metadata))
