"""What is deleted by its age, on a real store and Postgres."""

import pathlib
from datetime import timedelta

import pytest
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.recorder.expiry import ExpiredRows, StagedUploads
from parlance.contracts import ids, objects
from parlance.runtime.clock import ManualClock

from tests.integration.api_db import support
from tests.integration.api_db.support import Parts, Tenant


@pytest.fixture
def staged(parts: Parts, clock: ManualClock) -> StagedUploads:
    return StagedUploads(parts.store, clock, orphan_seconds=3600)


async def test_old_staged_uploads_are_deleted_and_new_ones_are_not(
    parts: Parts, staged: StagedUploads, clock: ManualClock, tmp_path: pathlib.Path
) -> None:
    old, new = [objects.format_staging_key(ids.new_call_id()) for _ in range(2)]
    for key in (old, new):
        await parts.store.put_bytes(key, b"x")
    support.set_written_at(tmp_path / "objects", old, clock.now() - timedelta(hours=2))

    assert await staged.delete() == 1
    assert await support.list_keys(parts) == [new]


async def test_a_company_called_staging_keeps_what_is_its_own(
    parts: Parts, staged: StagedUploads, clock: ManualClock
) -> None:
    company = await support.add_company(parts.database, "staging")
    own = {
        objects.format_audio_key(company.slug, ids.new_call_id(), "wav"),
        objects.format_trackers_key(company.slug),
        "staging/by-hand.wav",
    }
    for key in (*own, f"staging/{ids.new_call_id()}"):
        await parts.store.put_bytes(key, b"x")

    clock.advance(2 * 3600)
    assert await staged.delete() == 1  # staged by a version before
    assert set(await support.list_keys(parts)) == own


async def test_old_keys_and_tombstones_are_deleted(
    parts: Parts, acme: Tenant, clock: ManualClock
) -> None:
    rows = ExpiredRows(parts.database, clock)
    call = await support.add_call(parts.database, acme)
    await support.delete_call(parts, acme, call)
    async with parts.database.company_session(acme.id) as transaction:
        transaction.add(tables.IdempotencyKey(company_id=acme.id, key="k", request_hash=b"h"))
        await transaction.execute(sa.update(tables.Deletion).values(finished_at=sa.func.now()))
    assert await rows.delete_idempotency_keys() == 0
    assert await rows.delete_tombstones() == 0

    clock.advance(5 * 24 * 3600)
    assert await rows.delete_idempotency_keys() == 1
    assert await rows.delete_tombstones() == 1
    assert await support.count_rows(parts.database, tables.IdempotencyKey) == 0
    assert await support.count_rows(parts.database, tables.Deletion) == 0
