"""Objects without a row, on real Postgres, NATS, kube-apiserver and store: only what surely belongs
to nobody is deleted."""

import pathlib
import uuid
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.calls import jobs
from parlance.api.domain.calls.leftovers import CallOwners
from parlance.api.recorder.orphans import SUSPECT_SECONDS, OrphanObjects
from parlance.contracts import ids, objects
from parlance.contracts.bus import calls as call_events
from parlance.contracts.ids import CallId, CompanySlug
from parlance.runtime.clock import ManualClock
from sqlalchemy import event

from tests.integration.api_db import support
from tests.integration.api_db.support import Parts, Tenant

HOUR = 3600
Build = Callable[[int], OrphanObjects]


@pytest.fixture
def build(parts: Parts, clock: ManualClock) -> Build:
    def build_with(max_suspects: int) -> OrphanObjects:
        return OrphanObjects(
            parts.database,
            parts.store,
            parts.bus,
            clock,
            [CallOwners(parts.kube)],
            orphan_seconds=HOUR,
            max_suspects=max_suspects,
        )

    return build_with


@pytest.fixture
def orphans(build: Build) -> OrphanObjects:
    return build(5)


async def put_audio(parts: Parts, slug: CompanySlug, call_id: CallId | None = None) -> str:
    key = objects.format_audio_key(slug, call_id or ids.new_call_id(), "wav")
    await parts.store.put_bytes(key, b"x")
    return key


async def make_suspect(orphans: OrphanObjects, clock: ManualClock) -> None:
    """Let a pass see what is there now, and let the time of suspicion go by."""
    clock.advance(2 * HOUR)
    assert await orphans.delete() == 0
    clock.advance(SUSPECT_SECONDS)


async def count_suspects(parts: Parts) -> int:
    return await support.count_rows(parts.database, tables.SuspectedOrphan)


async def test_what_an_upload_that_died_left_is_deleted_after_the_wait(
    parts: Parts, acme: Tenant, orphans: OrphanObjects, clock: ManualClock
) -> None:
    call = await support.add_call(parts.database, acme)
    kept = await put_audio(parts, acme.slug, support.call_id_of(call))
    await put_audio(parts, acme.slug)
    await parts.store.put_bytes("incoming/by-hand.wav", b"x")
    await parts.store.put_bytes("acme/calls/by-hand/a.wav", b"x")
    await make_suspect(orphans, clock)

    assert await orphans.delete() == 1
    assert set(await support.list_keys(parts)) == {
        kept,
        "incoming/by-hand.wav",
        "acme/calls/by-hand/a.wav",
    }
    assert await count_suspects(parts) == 0


async def test_a_new_object_is_not_even_suspected(
    parts: Parts, acme: Tenant, orphans: OrphanObjects
) -> None:
    await put_audio(parts, acme.slug)
    await orphans.delete()

    assert await count_suspects(parts) == 0


async def test_the_result_of_a_kubectl_job_survives_until_its_row_is_written(
    parts: Parts, acme: Tenant, orphans: OrphanObjects, clock: ManualClock
) -> None:
    """As after an outage of the recorder: the first pass is faster than the first event."""
    call_id = ids.parse_call_id(str(uuid.uuid4()))
    key = await put_audio(parts, acme.slug, call_id)
    clock.advance(2 * HOUR)
    assert await orphans.delete() == 0
    await support.add_call(parts.database, acme, id=uuid.UUID(call_id))

    clock.advance(SUSPECT_SECONDS)
    assert await orphans.delete() == 0
    assert await support.list_keys(parts) == [key]
    assert await count_suspects(parts) == 0


async def test_a_restored_database_gives_what_it_does_not_know_the_whole_wait(
    parts: Parts, acme: Tenant, orphans: OrphanObjects, clock: ManualClock
) -> None:
    """The objects have been there for long; the suspects are from the backup, and these not."""
    key = await put_audio(parts, acme.slug)
    await make_suspect(orphans, clock)
    async with parts.database.system_session() as transaction:
        await transaction.execute(sa.delete(tables.SuspectedOrphan))

    assert await orphans.delete() == 0
    clock.advance(SUSPECT_SECONDS - HOUR)
    assert await orphans.delete() == 0
    assert await support.list_keys(parts) == [key]


async def test_what_an_event_speaks_of_is_kept_and_waits_anew(
    parts: Parts, acme: Tenant, orphans: OrphanObjects, clock: ManualClock
) -> None:
    call_id = ids.new_call_id()
    key = await put_audio(parts, acme.slug, call_id)
    queued = call_events.Queued(name="by-hand", namespace="parlance", uid=call_id)
    await parts.bus.publish_event(support.build_event(acme, call_id, queued))
    await make_suspect(orphans, clock)

    assert await orphans.delete() == 0
    assert await support.list_keys(parts) == [key]
    assert await count_suspects(parts) == 0


async def test_what_a_calljob_stands_for_is_kept(
    parts: Parts, acme: Tenant, orphans: OrphanObjects, clock: ManualClock
) -> None:
    call = tables.Call(company_id=acme.id, audio_key="acme/x")
    key = await put_audio(parts, acme.slug, support.call_id_of(call))
    await parts.kube.create_calljob(jobs.build_calljob(call, acme.slug))
    await make_suspect(orphans, clock)

    assert await orphans.delete() == 0
    assert await support.list_keys(parts) == [key]


async def test_an_owner_that_gets_new_objects_is_kept(
    parts: Parts, acme: Tenant, orphans: OrphanObjects, clock: ManualClock, tmp_path: pathlib.Path
) -> None:
    call_id = ids.new_call_id()
    await put_audio(parts, acme.slug, call_id)
    await make_suspect(orphans, clock)
    result = objects.format_transcript_key(acme.slug, call_id, "a" * 64)
    await parts.store.put_bytes(result, b"x")
    support.set_written_at(tmp_path / "objects", result, clock.now())

    assert await orphans.delete() == 0
    assert len(await support.list_keys(parts)) == 2
    assert await count_suspects(parts) == 0


async def test_nothing_is_deleted_while_there_are_too_many(
    parts: Parts, acme: Tenant, build: Build, clock: ManualClock
) -> None:
    orphans = build(2)
    for _ in range(3):
        await put_audio(parts, acme.slug)
    await make_suspect(orphans, clock)
    assert await orphans.delete() == 0
    assert len(await support.list_keys(parts)) == 3

    assert await build(3).delete() == 3
    assert await support.list_keys(parts) == []


async def test_suspects_whose_objects_are_gone_hold_nothing_up(
    parts: Parts, acme: Tenant, build: Build, clock: ManualClock
) -> None:
    orphans = build(1)
    first, _ = [await put_audio(parts, acme.slug) for _ in range(2)]
    await make_suspect(orphans, clock)
    await parts.store.delete(first)

    assert await orphans.delete() == 1
    assert await support.list_keys(parts) == []
    assert await count_suspects(parts) == 0


async def test_what_is_left_of_a_deleted_call_is_deleted_at_once(
    parts: Parts, acme: Tenant, orphans: OrphanObjects, clock: ManualClock
) -> None:
    call = await support.add_call(parts.database, acme)
    await support.delete_call(parts, acme, call)
    await put_audio(parts, acme.slug, support.call_id_of(call))

    clock.advance(2 * HOUR)
    assert await orphans.delete() == 1
    assert await support.list_keys(parts) == []


async def test_many_owners_cost_no_more_statements_than_one(
    parts: Parts, acme: Tenant, orphans: OrphanObjects, clock: ManualClock
) -> None:
    statements: list[object] = []
    engine = parts.database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *values: statements.append(values[2]))
    await put_audio(parts, acme.slug)
    clock.advance(2 * HOUR)
    await orphans.delete()  # also reads the id of the company, once
    statements.clear()
    await orphans.delete()
    of_one = len(statements)
    for _ in range(4):
        await put_audio(parts, acme.slug)
    clock.advance(2 * HOUR)
    statements.clear()
    await orphans.delete()
    of_five = len(statements)

    assert await count_suspects(parts) == 5
    assert of_five == of_one


async def test_the_folder_of_an_unknown_company_is_left_alone(
    parts: Parts, orphans: OrphanObjects, clock: ManualClock
) -> None:
    """It may have come after the backup that the database was restored from."""
    key = await put_audio(parts, CompanySlug("newcomer"))
    await make_suspect(orphans, clock)

    assert await orphans.delete() == 0
    assert await support.list_keys(parts) == [key]


async def test_a_result_below_another_companys_call_id_is_an_orphan(
    parts: Parts, acme: Tenant, globex: Tenant, orphans: OrphanObjects, clock: ManualClock
) -> None:
    call = await support.add_call(parts.database, acme)
    kept = await put_audio(parts, acme.slug, support.call_id_of(call))
    await put_audio(parts, globex.slug, support.call_id_of(call))
    await make_suspect(orphans, clock)

    assert await orphans.delete() == 1
    assert await support.list_keys(parts) == [kept]
