"""Sessions on a real Postgres: two walls between companies, one translation of errors."""

import asyncio
import uuid
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from parlance.api.db import session, tables
from parlance.api.db.errors import DatabaseUnavailable, QueryRejected, RowConflict, RowMissing
from parlance.api.db.session import Database
from parlance.api.settings import DatabaseSettings
from parlance.contracts.calls import CallStatus
from pydantic import SecretStr
from sqlmodel import col

from devstack.postgres import Postgres
from tests.integration.api_db import support
from tests.integration.api_db.support import Tenant
from tests.integration.databases import Urls


async def count_calls(transaction: Any) -> int:
    result = await transaction.scalar(sa.select(sa.func.count()).select_from(tables.Call))
    assert isinstance(result, int)
    return result


async def test_a_company_sees_its_own_rows_only(
    database: Database, acme: Tenant, globex: Tenant
) -> None:
    await support.add_call(database, acme)

    async with database.company_session(acme.id) as transaction:
        assert await count_calls(transaction) == 1
    async with database.company_session(globex.id) as transaction:
        assert await count_calls(transaction) == 0


async def test_system_work_sees_every_company(
    database: Database, acme: Tenant, globex: Tenant
) -> None:
    await support.add_call(database, acme)
    await support.add_call(database, globex)

    async with database.system_session() as transaction:
        assert await count_calls(transaction) == 2


async def test_a_connection_that_says_nothing_sees_nothing(
    database: Database, acme: Tenant, urls: Urls
) -> None:
    await support.add_call(database, acme)
    engine = session.build_single_engine(urls.app)
    async with engine.connect() as connection:
        assert await count_calls(connection) == 0
    await engine.dispose()


async def test_a_row_of_another_company_cannot_be_written(
    database: Database, acme: Tenant, globex: Tenant
) -> None:
    with pytest.raises(QueryRejected) as caught:
        async with database.company_session(acme.id) as transaction:
            transaction.add(tables.Call(company_id=globex.id))

    assert caught.value.sqlstate == "42501"


async def test_errors_do_not_repeat_what_people_said(database: Database) -> None:
    with pytest.raises(QueryRejected) as caught:
        async with database.system_session() as transaction:
            query = sa.text("SELECT length(CAST(:text AS text)) / 0")
            await transaction.execute(query, {"text": "my card is lost"})

    assert "my card is lost" not in str(caught.value.__cause__)


async def test_pooled_connections_carry_no_company_over(
    urls: Urls, database: Database, acme: Tenant, globex: Tenant
) -> None:
    await support.add_call(database, acme)
    settings = support.build_settings(urls, database_pool_size=1, database_pool_overflow=0)
    async with session.open_database(settings) as narrow:
        for company, expected in [(acme, 1), (globex, 0), (acme, 1)]:
            async with narrow.company_session(company.id) as transaction:
                assert await count_calls(transaction) == expected


async def test_an_exception_rolls_back(database: Database, acme: Tenant) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.company_session(acme.id) as transaction:
            transaction.add(tables.Call(company_id=acme.id))
            await transaction.flush()
            raise ZeroDivisionError

    async with database.company_session(acme.id) as transaction:
        assert await count_calls(transaction) == 0


async def test_enumerations_and_json_come_back_as_they_went(
    database: Database, acme: Tenant
) -> None:
    call = await support.add_call(database, acme, extra={"deep": [1, None]}, model={"name": "tiny"})

    async with database.company_session(acme.id) as transaction:
        stored = await transaction.get_one(tables.Call, call.id)
    assert stored.status is CallStatus.QUEUED
    assert stored.extra == {"deep": [1, None]}
    assert stored.model == {"name": "tiny"}


async def test_the_same_audio_twice_is_a_conflict_with_a_name(
    database: Database, acme: Tenant, globex: Tenant
) -> None:
    await support.add_call(database, acme, sha256="a" * 64)
    await support.add_call(database, globex, sha256="a" * 64)
    await support.add_call(database, acme, sha256="a" * 64, allow_duplicate=True)

    with pytest.raises(RowConflict) as caught:
        await support.add_call(database, acme, sha256="a" * 64)

    assert caught.value.constraint == "uq_calls_audio"


async def test_failed_audio_may_be_sent_again(database: Database, acme: Tenant) -> None:
    await support.add_call(database, acme, sha256="a" * 64, status=CallStatus.FAILED)
    await support.add_call(database, acme, sha256="a" * 64)


async def test_a_missing_reference_has_a_name(database: Database, acme: Tenant) -> None:
    with pytest.raises(RowMissing) as caught:
        await support.add_call(database, acme, user_id=uuid.uuid4())

    assert caught.value.constraint == "fk_calls_user_id"


async def test_a_value_that_cannot_be_sent_is_our_mistake_and_no_outage(
    database: Database, acme: Tenant
) -> None:
    """Whoever takes it for an outage tries it for ever."""
    long_ago = datetime.fromisoformat("0001-01-01T00:00:00+14:00")  # before year 1 in UTC
    with pytest.raises(QueryRejected):
        await support.add_call(database, acme, recorded_at=long_ago)


async def test_what_the_driver_itself_refuses_is_our_mistake_and_no_outage(
    database: Database,
) -> None:
    """It has no SQLSTATE, as little as a lost connection has."""
    too_many = col(tables.Call.percent).in_(list(range(40_000)))
    with pytest.raises(QueryRejected) as caught:
        async with database.system_session() as transaction:
            await transaction.execute(sa.select(col(tables.Call.id)).where(too_many))

    assert caught.value.sqlstate is None


async def test_a_connection_that_is_lost_on_our_side_is_retryable(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with database.system_session() as transaction:
            raw = await (await transaction.connection()).get_raw_connection()
            assert raw.driver_connection is not None
            raw.driver_connection.terminate()
            await transaction.execute(sa.text("SELECT 1"))


async def test_a_row_held_elsewhere_is_retryable(
    urls: Urls, database: Database, acme: Tenant
) -> None:
    call = await support.add_call(database, acme)
    impatient = support.build_settings(urls, database_lock_timeout_seconds=0.05)
    change = sa.update(tables.Call).where(col(tables.Call.id) == call.id).values(percent=1)

    async with (
        session.open_database(impatient) as second,
        database.company_session(acme.id) as holder,
    ):
        await holder.execute(change)
        with pytest.raises(DatabaseUnavailable) as caught:
            async with second.company_session(acme.id) as transaction:
                await transaction.execute(change)

    assert caught.value.sqlstate == "55P03"


async def test_a_slow_statement_is_ended(urls: Urls) -> None:
    hasty = support.build_settings(urls, database_statement_timeout_seconds=0.05)
    async with session.open_database(hasty) as database:
        with pytest.raises(DatabaseUnavailable) as caught:
            async with database.system_session() as transaction:
                await transaction.execute(sa.text("SELECT pg_sleep(5)"))

    assert caught.value.sqlstate == "57014"


async def test_nothing_listening_is_retryable() -> None:
    nobody = DatabaseSettings(database_url=SecretStr("postgresql://a:b@127.0.0.1:1/none"))
    async with session.open_database(nobody) as database:
        with pytest.raises(DatabaseUnavailable):
            await database.ping()


async def test_a_database_that_is_not_there_yet_is_retryable(empty_urls: Urls) -> None:
    async with session.open_database(support.build_settings(empty_urls)) as database:
        with pytest.raises(DatabaseUnavailable) as caught:
            await database.ping()

    assert caught.value.sqlstate == "3D000"


async def test_a_schema_that_is_not_migrated_yet_is_retryable(urls: Urls) -> None:
    engine = session.build_single_engine(urls.owner)
    async with engine.begin() as connection:
        await connection.execute(sa.text("ALTER TABLE calls RENAME TO calls_of_old"))
    await engine.dispose()

    async with session.open_database(support.build_settings(urls)) as database:
        with pytest.raises(DatabaseUnavailable):
            async with database.system_session() as transaction:
                await count_calls(transaction)


async def test_an_exhausted_pool_is_retryable(urls: Urls) -> None:
    narrow = support.build_settings(
        urls,
        database_pool_size=1,
        database_pool_overflow=0,
        database_pool_timeout_seconds=0.1,
    )
    async with session.open_database(narrow) as database, database.system_session():
        with pytest.raises(DatabaseUnavailable):
            await database.ping()


async def test_a_crash_of_the_server_is_retryable_and_survived(
    postgres_server: Postgres, database: Database
) -> None:
    await database.ping()
    await postgres_server.process.kill()
    with pytest.raises(DatabaseUnavailable):
        await database.ping()

    await postgres_server.process.start()
    await database.ping()


async def test_a_crash_within_a_transaction_is_retryable(
    postgres_server: Postgres, database: Database
) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with database.system_session() as transaction:
            await postgres_server.process.kill()
            await postgres_server.process.start()
            await transaction.execute(sa.text("SELECT 1"))


async def test_cancelled_work_gives_its_connection_back(urls: Urls) -> None:
    narrow = support.build_settings(urls, database_pool_size=1, database_pool_overflow=0)
    async with session.open_database(narrow) as database:

        async def sleep() -> None:
            async with database.system_session() as transaction:
                await transaction.execute(sa.text("SELECT pg_sleep(30)"))

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await sleep()
        await database.ping()
