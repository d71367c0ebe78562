"""What the driver raises without an SQLSTATE: an outage only when the connection is gone."""

import asyncpg
import pytest
from parlance.api.db import session
from parlance.api.db.errors import DatabaseUnavailable, QueryRejected
from sqlalchemy import exc


class FromDriver(Exception):
    """Stands in for SQLAlchemy's wrapper around an error of asyncpg, which has the same parts."""

    sqlstate = None


def build_error(cause: Exception, *, is_lost: bool) -> exc.DBAPIError:
    wrapped = FromDriver(str(cause))
    wrapped.__cause__ = cause
    return exc.InterfaceError("SELECT 1", {}, wrapped, connection_invalidated=is_lost)


def test_what_the_driver_refuses_to_send_is_our_mistake() -> None:
    too_many = asyncpg.InterfaceError("the number of query arguments cannot exceed 32767")
    with pytest.raises(QueryRejected), session.translated():
        raise build_error(too_many, is_lost=False)


def test_a_connection_that_is_gone_is_an_outage() -> None:
    closed = asyncpg.InterfaceError("connection is closed")
    with pytest.raises(DatabaseUnavailable), session.translated():
        raise build_error(closed, is_lost=True)


def test_whatever_fails_while_connecting_is_an_outage() -> None:
    with pytest.raises(DatabaseUnavailable), session.translated(is_connecting=True):
        raise build_error(asyncpg.InterfaceError("still starting"), is_lost=False)


def test_an_unknown_error_of_the_driver_is_waited_for() -> None:
    with pytest.raises(DatabaseUnavailable), session.translated():
        raise build_error(asyncpg.InternalClientError("outdated cache"), is_lost=False)
