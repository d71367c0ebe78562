"""Sessions: one transaction each, bound to one company (or to none, for system work) before any
other statement runs. The only module that opens connections and knows driver errors.

Two walls keep companies apart: every query names its company, and row security shows a
transaction only the rows of the company that `app.company` names. Work across companies (finding
the company of a key, the outbox, results from the bus) sets `app.system` instead. Both are
settings of the transaction (`set_config(..., true)`), so a pooled connection carries nothing over
and a transaction-mode pooler in front is fine; a session that sets neither sees no row at all.
Settings rather than a second role: an install then needs one ordinary role and no right to create
further ones, and the statement that has to come first anyway can carry them.
"""

import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import sqlalchemy as sa
from parlance.api.settings import DatabaseSettings
from sqlalchemy import exc, pool
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from .errors import DatabaseUnavailable, QueryRejected, RowConflict, RowMissing

APPLICATION_NAME = "parlance"

_UNIQUE_VIOLATION = "23505"
_FOREIGN_KEY_VIOLATION = "23503"
# Classes and codes after which the same statement may well work: connection (08), login (28),
# resources (53), operator intervention (57: shutdown, start-up, cancelled by a timeout), locks and
# conflicts; and those that say that an installation or an upgrade is not finished yet. An event
# must wait for the migration then, not fail its call.
_PASSING_CLASSES = ("08", "28", "53", "57")
_PASSING_CODES = frozenset({
    "40001",  # serialization failure
    "40P01",  # deadlock
    "55P03",  # lock not available in time
    "25P03",  # idle in transaction for too long
    "25006",  # read only: a failover is under way and this is still the replica
    "3D000",  # no such database
    "42P01",  # no such table
    "42703",  # no such column
})  # fmt: skip

_BIND = sa.text(
    "SELECT set_config(:name, :value, true)"
    ", set_config('statement_timeout', :statement, true)"
    ", set_config('lock_timeout', :lock, true)"
    ", set_config('idle_in_transaction_session_timeout', :idle, true)"
)


class Database:
    """Opens transactions. Made by `open_database`."""

    def __init__(self, engine: AsyncEngine, settings: DatabaseSettings) -> None:
        self._engine = engine
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)
        self._limits = {
            "statement": _milliseconds(settings.database_statement_timeout_seconds),
            "lock": _milliseconds(settings.database_lock_timeout_seconds),
            "idle": _milliseconds(settings.database_idle_transaction_timeout_seconds),
        }

    @contextlib.asynccontextmanager
    async def company_session(self, company_id: uuid.UUID) -> AsyncIterator[AsyncSession]:
        """A transaction that sees one company. Commits at the end, rolls back on an exception."""
        async with self._session("app.company", str(company_id)) as session:
            yield session

    @contextlib.asynccontextmanager
    async def system_session(self) -> AsyncIterator[AsyncSession]:
        """A transaction that sees every company; for work that has no company (yet)."""
        async with self._session("app.system", "on") as session:
            yield session

    async def ping(self) -> None:
        """Raises DatabaseUnavailable unless a query is answered."""
        async with self.system_session():
            pass

    @contextlib.asynccontextmanager
    async def _session(self, name: str, value: str) -> AsyncIterator[AsyncSession]:
        with translated():
            async with self._sessions() as session, session.begin():
                await self._bind(session, name, value)
                yield session

    async def _bind(self, session: AsyncSession, name: str, value: str) -> None:
        with translated(is_connecting=True):  # on first use
            await session.execute(_BIND, {"name": name, "value": value, **self._limits})


@contextlib.asynccontextmanager
async def open_database(settings: DatabaseSettings) -> AsyncIterator[Database]:
    """The database with its pool. Connects on first use: a process starts without Postgres."""
    engine = build_engine(
        settings.database_url.get_secret_value(),
        connect_timeout_seconds=settings.database_connect_timeout_seconds,
        pool_size=settings.database_pool_size,
        max_overflow=settings.database_pool_overflow,
        pool_timeout=settings.database_pool_timeout_seconds,
        # A server restart makes every pooled connection stale; asking first costs 0.1 ms.
        pool_pre_ping=True,
        pool_recycle=1800,
    )
    try:
        yield Database(engine, settings)
    finally:
        await engine.dispose()


def build_engine(url: str, *, connect_timeout_seconds: float, **options: Any) -> AsyncEngine:
    """An engine for a libpq address; asyncpg reads it itself, so sockets and TLS work as usual."""
    dsn = url.replace("postgresql+asyncpg://", "postgresql://", 1)

    async def connect() -> Any:
        return await asyncpg.connect(
            dsn,
            timeout=connect_timeout_seconds,  # pyright: ignore[reportArgumentType]  # floats work
            server_settings={"application_name": APPLICATION_NAME, "timezone": "UTC"},
        )

    return create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        hide_parameters=True,  # errors are logged, and parameters hold what people said
        **options,
    )


def build_single_engine(url: str) -> AsyncEngine:
    """An engine without a pool, for commands that run once."""
    return build_engine(url, connect_timeout_seconds=10.0, poolclass=pool.NullPool)


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))


@contextlib.contextmanager
def translated(*, is_connecting: bool = False) -> Iterator[None]:
    """Turn what the driver raises into the errors of `db.errors`.

    While connecting also what SQLAlchemy does not wrap: refused, timed out, still starting.
    """
    try:
        yield
    except exc.DBAPIError as exc_:
        is_lost = is_connecting or exc_.connection_invalidated
        raise _translate(exc_.orig or exc_, is_lost=is_lost) from exc_
    except exc.TimeoutError as exc_:  # no connection of the pool became free
        raise DatabaseUnavailable(None) from exc_
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc_:
        if not is_connecting:
            raise
        raise _translate(exc_, is_lost=True) from exc_


def _translate(error: BaseException, *, is_lost: bool) -> Exception:
    """`is_lost` tells that the connection is gone, or was never there."""
    sqlstate: str | None = getattr(error, "sqlstate", None)
    if sqlstate is None:  # from the driver itself, which says by this type that it was misused
        is_misuse = isinstance(error.__cause__ or error, asyncpg.InterfaceError) and not is_lost
        return QueryRejected(None) if is_misuse else DatabaseUnavailable(None)
    if sqlstate[:2] in _PASSING_CLASSES or sqlstate in _PASSING_CODES:
        return DatabaseUnavailable(sqlstate)
    constraint = getattr(error.__cause__ or error, "constraint_name", None) or ""
    if sqlstate == _UNIQUE_VIOLATION:
        return RowConflict(constraint)
    if sqlstate == _FOREIGN_KEY_VIOLATION:
        return RowMissing(constraint)
    return QueryRejected(sqlstate)
