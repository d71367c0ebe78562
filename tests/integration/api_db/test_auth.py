"""API keys on a real Postgres."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.identity import keys
from parlance.api.identity.keys import InvalidKey, KeyRing, NewKey
from parlance.api.identity.scopes import Scope
from parlance.runtime.clock import ManualClock, SystemClock

from tests.integration.api_db.support import Tenant


@pytest.fixture
def ring(database: Database) -> KeyRing:
    return KeyRing(database, SystemClock())


async def add_key(database: Database, company: Tenant, **values: Any) -> NewKey:
    key = keys.generate_key()
    row = tables.ApiKey(id=key.key_id, company_id=company.id, sha256=key.sha256, **values)
    async with database.company_session(company.id) as transaction:
        transaction.add(row)
    return key


async def fetch_key(database: Database, key: NewKey) -> tables.ApiKey:
    async with database.system_session() as transaction:
        return await transaction.get_one(tables.ApiKey, key.key_id)


async def test_a_good_key_tells_who_asks(ring: KeyRing, database: Database, acme: Tenant) -> None:
    key = await add_key(database, acme, scopes=["calls:read"])
    principal = await ring.verify_key(key.text)

    assert (principal.company_id, principal.company_slug) == (acme.id, "acme")
    assert principal.has_scope(Scope.CALLS_READ)
    assert not principal.has_scope(Scope.CALLS_WRITE)


async def test_an_admin_key_may_do_everything(
    ring: KeyRing, database: Database, acme: Tenant
) -> None:
    principal = await ring.verify_key((await add_key(database, acme, scopes=["admin"])).text)

    assert all(principal.has_scope(scope) for scope in Scope)


async def test_an_unknown_key_is_refused(ring: KeyRing, acme: Tenant) -> None:
    with pytest.raises(InvalidKey):
        await ring.verify_key(keys.generate_key().text)


async def test_the_right_key_id_with_another_secret_is_refused(
    ring: KeyRing, database: Database, acme: Tenant
) -> None:
    key = await add_key(database, acme)
    _, _, _, secret, _ = keys.generate_key().text.split("_")
    body = f"pk_live_{key.key_id}_{secret}"

    with pytest.raises(InvalidKey):
        await ring.verify_key(f"{body}_{keys._format_crc(body)}")


@pytest.mark.parametrize("column", ["expires_at", "revoked_at"])
async def test_an_expired_or_revoked_key_is_refused(
    ring: KeyRing, database: Database, acme: Tenant, column: str
) -> None:
    past = tables.utc_now() - timedelta(seconds=1)
    key = await add_key(database, acme, **{column: past})

    with pytest.raises(InvalidKey):
        await ring.verify_key(key.text)


async def test_a_refused_key_is_not_noted_as_used(
    ring: KeyRing, database: Database, acme: Tenant
) -> None:
    past = tables.utc_now() - timedelta(seconds=1)
    key = await add_key(database, acme, expires_at=past)
    with pytest.raises(InvalidKey):
        await ring.verify_key(key.text)

    assert (await fetch_key(database, key)).last_used_at is None


async def test_a_revoked_key_ends_within_the_cache_time(database: Database, acme: Tenant) -> None:
    clock = ManualClock(start=tables.utc_now())
    ring = KeyRing(database, clock)
    key = await add_key(database, acme)
    await ring.verify_key(key.text)
    async with database.system_session() as transaction:
        await transaction.execute(sa.update(tables.ApiKey).values(revoked_at=sa.func.now()))
    await ring.verify_key(key.text)  # believed for a few seconds more

    clock.advance(keys.CACHE_SECONDS + 0.1)
    with pytest.raises(InvalidKey):
        await ring.verify_key(key.text)


async def test_use_is_noted_at_most_once_a_minute(database: Database, acme: Tenant) -> None:
    clock = ManualClock(start=tables.utc_now())
    key = await add_key(database, acme)
    noted = []
    for _ in range(3):
        await KeyRing(database, clock).verify_key(key.text)
        noted.append((await fetch_key(database, key)).last_used_at)
        clock.advance(keys.LAST_USED_SECONDS / 2)

    assert noted[0] is not None
    assert noted[1] == noted[0]
    assert noted[2] == noted[0] + timedelta(seconds=keys.LAST_USED_SECONDS)
