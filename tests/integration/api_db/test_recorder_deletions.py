"""Deleting a call, and what the janitor and the stragglers' search do, on real servers."""

import asyncio
import os
import pathlib
import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.calls.results.writer import ResultWriter
from parlance.api.domain.calls.stragglers import QUIET_SECONDS, Stragglers
from parlance.api.outbox import deletions
from parlance.api.outbox import rows as outbox
from parlance.api.outbox.deletions import Eraser
from parlance.api.recorder.janitor import Janitor
from parlance.contracts import ids, objects
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.calls import CallStatus
from parlance.runtime.clock import ManualClock
from sqlmodel import col

from devstack.controlplane.server import ControlPlane
from tests.integration.api_db import support
from tests.integration.api_db.support import Parts, Tenant


@pytest.fixture
def clock(parts: Parts) -> ManualClock:
    return ManualClock(parts.clock.now())


@pytest.fixture
def eraser(parts: Parts, clock: ManualClock) -> Eraser:
    return Eraser(parts.database, parts.kube, parts.store, parts.bus, clock)


@pytest.fixture
def janitor(parts: Parts, clock: ManualClock) -> Janitor:
    return Janitor(parts.database, parts.kube, parts.store, clock, orphan_seconds=3600)


@pytest.fixture
def stragglers(parts: Parts, clock: ManualClock) -> Stragglers:
    writer = ResultWriter(parts.database, parts.store, parts.bus, clock)
    return Stragglers(parts.database, parts.kube, parts.bus, writer, clock)


async def add_running(parts: Parts, company: Tenant) -> tables.Call:
    """A call with its job, its objects and an event."""
    call = await support.add_call(
        parts.database, company, status=CallStatus.PROCESSING, audio_key="acme/x"
    )
    call_id = support.call_id_of(call)
    await parts.kube.create_calljob(outbox.build_calljob(call, company.slug))
    await support.put_result(parts.store, company, call_id, texts=["one"])
    await parts.bus.publish_event(support.build_event(company, call_id, support.build_started()))
    return call


async def mark(parts: Parts, company: Tenant, call: tables.Call) -> bool:
    async with parts.database.company_session(company.id) as transaction:
        return await deletions.mark(transaction, company.id, call.id, actor="key:x")


async def list_keys(parts: Parts) -> list[str]:
    return [stored.key async for stored in parts.store.list("")]


async def release(parts: Parts, call: tables.Call) -> None:
    """What the operator does with a deleted job once its work has ended."""
    await parts.kube.patch_calljob(f"call-{call.id}", {"metadata": {"finalizers": None}})


async def test_a_deleted_call_leaves_nothing(
    parts: Parts, acme: Tenant, eraser: Eraser, clock: ManualClock
) -> None:
    call = await add_running(parts, acme)
    assert await mark(parts, acme, call)
    await eraser.erase_call(acme.id, call.id)
    await release(parts, call)

    assert await support.fetch_call(parts.database, call.id) is None
    assert await list_keys(parts) == []
    assert await support.read_events(parts.bus) == []
    assert await parts.kube.get_calljob(f"call-{call.id}") is None
    assert await parts.bus.get_control(str(call.id)) is ControlAction.CANCEL


async def test_what_a_worker_still_wrote_is_removed_by_a_later_pass(
    parts: Parts, acme: Tenant, eraser: Eraser, clock: ManualClock
) -> None:
    call = await add_running(parts, acme)
    await mark(parts, acme, call)
    await eraser.erase_call(acme.id, call.id)
    await release(parts, call)
    await support.put_result(parts.store, acme, support.call_id_of(call), texts=["late"])
    assert await eraser.erase_due() == 0

    clock.advance(deletions.SETTLE_SECONDS + 60)
    assert await eraser.erase_due() == 1
    assert await list_keys(parts) == []
    clock.advance(3600)
    assert await eraser.erase_due() == 0  # finished


async def test_a_deletion_is_not_finished_while_the_job_is_there(
    parts: Parts, acme: Tenant, eraser: Eraser, clock: ManualClock
) -> None:
    call = await add_running(parts, acme)
    await mark(parts, acme, call)
    for _ in range(3):
        clock.advance(3600)
        assert await eraser.erase_due() == 1  # its finalizer holds the job


async def test_a_deletion_that_died_in_between_is_taken_up(
    parts: Parts,
    acme: Tenant,
    eraser: Eraser,
    clock: ManualClock,
    control_plane: ControlPlane,
) -> None:
    call = await add_running(parts, acme)
    await mark(parts, acme, call)
    await control_plane.apiserver.kill()
    try:
        await eraser.erase_call(acme.id, call.id)
    finally:
        await control_plane.apiserver.start()
    assert await list_keys(parts) != []

    clock.advance(60)
    assert await eraser.erase_due() == 1
    assert await list_keys(parts) == []


async def test_deleting_again_or_a_foreign_call_finds_nothing(
    parts: Parts, acme: Tenant, globex: Tenant
) -> None:
    call = await support.add_call(parts.database, acme)

    assert not await mark(parts, globex, call)
    assert await mark(parts, acme, call)
    assert not await mark(parts, acme, call)


async def test_deletion_waits_for_a_relay_that_holds_the_row(parts: Parts, acme: Tenant) -> None:
    call = await support.add_call(parts.database, acme, audio_key="acme/x")
    async with parts.database.company_session(acme.id) as transaction:
        outbox.add(transaction, call, acme.slug)
    async with parts.database.system_session() as relaying:
        await relaying.execute(sa.select(tables.OutboxRow).with_for_update())
        deleting = asyncio.create_task(mark(parts, acme, call))
        done, _ = await asyncio.wait([deleting], timeout=0.3)
        assert not done

    assert await deleting


async def test_deletion_is_audited(parts: Parts, acme: Tenant) -> None:
    call = await support.add_call(parts.database, acme)
    await mark(parts, acme, call)

    async with parts.database.company_session(acme.id) as transaction:
        entry = (await transaction.scalars(sa.select(tables.AuditEntry))).one()
    assert (entry.actor, entry.action, entry.subject) == ("key:x", "call.deleted", str(call.id))


async def test_janitor_removes_old_staged_uploads_only(
    parts: Parts, janitor: Janitor, clock: ManualClock, tmp_path: pathlib.Path
) -> None:
    old, new = [objects.format_staging_key(ids.new_call_id()) for _ in range(2)]
    for key in (old, new):
        await parts.store.put_bytes(key, b"x")
    two_hours_ago = (clock.now() - timedelta(hours=2)).timestamp()
    os.utime(tmp_path / "objects" / old, (two_hours_ago, two_hours_ago))

    assert await janitor.remove_staged_uploads() == 1
    assert await list_keys(parts) == [new]


async def test_janitor_removes_objects_without_a_row_only(
    parts: Parts, acme: Tenant, janitor: Janitor, clock: ManualClock
) -> None:
    call = await support.add_call(parts.database, acme)
    kept = objects.format_audio_key(acme.slug, support.call_id_of(call), "wav")
    orphan = objects.format_audio_key(acme.slug, ids.new_call_id(), "wav")
    foreign = "incoming/by-hand.wav"
    for key in (kept, orphan, foreign):
        await parts.store.put_bytes(key, b"x")
    assert await janitor.remove_orphan_objects() == 0  # too young

    clock.advance(2 * 3600)
    assert await janitor.remove_orphan_objects() == 1
    assert sorted(await list_keys(parts)) == sorted([kept, foreign])


async def test_janitor_removes_jobs_of_deleted_calls(
    parts: Parts, acme: Tenant, janitor: Janitor
) -> None:
    deleted, kept = [
        await support.add_call(parts.database, acme, audio_key="acme/x") for _ in range(2)
    ]
    await mark(parts, acme, deleted)
    async with parts.database.system_session() as transaction:
        await transaction.execute(sa.update(tables.Deletion).values(finished_at=sa.func.now()))
    for call in (deleted, kept):
        await parts.kube.create_calljob(outbox.build_calljob(call, acme.slug))

    assert await janitor.remove_jobs_of_deleted_calls() == 1
    await release(parts, deleted)
    assert await parts.kube.get_calljob(f"call-{kept.id}") is not None
    assert await parts.kube.get_calljob(f"call-{deleted.id}") is None


async def test_janitor_forgets_old_keys_and_tombstones(
    parts: Parts, acme: Tenant, janitor: Janitor, clock: ManualClock
) -> None:
    call = await support.add_call(parts.database, acme)
    await mark(parts, acme, call)
    async with parts.database.company_session(acme.id) as transaction:
        transaction.add(tables.IdempotencyKey(company_id=acme.id, key="k", request_hash=b"h"))
        await transaction.execute(sa.update(tables.Deletion).values(finished_at=sa.func.now()))
    await janitor.run_pass()
    assert await support.count_rows(parts.database, tables.IdempotencyKey) == 1
    assert await support.count_rows(parts.database, tables.Deletion) == 1

    clock.advance(5 * 24 * 3600)
    await janitor.run_pass()
    assert await support.count_rows(parts.database, tables.IdempotencyKey) == 0
    assert await support.count_rows(parts.database, tables.Deletion) == 0


async def age(parts: Parts, call: tables.Call) -> None:
    async with parts.database.system_session() as transaction:
        await transaction.execute(
            sa.update(tables.Call)
            .where(col(tables.Call.id) == call.id)
            .values(updated_at=parts.clock.now() - timedelta(seconds=QUIET_SECONDS + 60))
        )


async def test_a_call_whose_job_is_gone_is_dispatched_again(
    parts: Parts, acme: Tenant, stragglers: Stragglers
) -> None:
    call = await support.add_call(
        parts.database, acme, status=CallStatus.PROCESSING, attempt=3, audio_key="acme/x"
    )
    await stragglers.run_pass()
    assert await support.count_rows(parts.database, tables.OutboxRow) == 0  # not quiet yet

    await age(parts, call)
    await stragglers.run_pass()
    assert await support.count_rows(parts.database, tables.OutboxRow) == 1
    stored = await support.fetch_call(parts.database, call.id)
    assert stored is not None
    assert (stored.status, stored.attempt) == (CallStatus.QUEUED, 0)


async def test_a_running_job_is_left_alone(
    parts: Parts, acme: Tenant, stragglers: Stragglers
) -> None:
    call = await add_running(parts, acme)
    await age(parts, call)
    await stragglers.run_pass()

    stored = await support.fetch_call(parts.database, call.id)
    assert stored is not None
    assert stored.status is CallStatus.PROCESSING
    assert await support.count_rows(parts.database, tables.OutboxRow) == 0


async def test_a_verdict_that_was_not_heard_is_read_from_the_job(
    parts: Parts, acme: Tenant, stragglers: Stragglers
) -> None:
    call = await add_running(parts, acme)
    await age(parts, call)
    condition = {
        "type": "Failed",
        "status": "True",
        "reason": "DeadlineExceeded",
        "message": "The job took longer than 3600 s.",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    await parts.kube.patch_calljob_status(
        f"call-{call.id}", {"status": {"conditions": [condition], "attempts": 1}}
    )
    await stragglers.run_pass()

    stored = await support.fetch_call(parts.database, call.id)
    assert stored is not None
    assert (stored.status, stored.error_reason) == (CallStatus.FAILED, "DeadlineExceeded")
    assert [event.type for event in await support.read_events(parts.bus)][-1] == "call.failed"


async def test_a_kubectl_job_that_is_gone_was_cancelled(
    parts: Parts, acme: Tenant, stragglers: Stragglers
) -> None:
    call = await support.add_call(
        parts.database,
        acme,
        id=uuid.uuid4(),
        source=tables.CallSource.KUBECTL,
        calljob_name="by-hand",
    )
    await age(parts, call)
    await stragglers.run_pass()

    stored = await support.fetch_call(parts.database, call.id)
    assert stored is not None
    assert stored.status is CallStatus.CANCELLED
