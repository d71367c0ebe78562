"""Deleting a call on real servers: its rows at once, the rest until nothing is left."""

import asyncio

import pytest
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.calls import jobs
from parlance.api.domain.calls.deleting import CallDeletions
from parlance.api.outbox import deletions
from parlance.api.outbox.deletions import Deleter
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.bus.subjects import Kind
from parlance.runtime.clock import ManualClock

from devstack.controlplane.server import ControlPlane
from tests.integration.api_db import support
from tests.integration.api_db.support import Parts, Tenant


@pytest.fixture
def deleter(parts: Parts, clock: ManualClock) -> Deleter:
    return Deleter(parts.database, [CallDeletions(parts.kube, parts.store, parts.bus)], clock)


async def test_a_deleted_call_leaves_nothing(
    parts: Parts, acme: Tenant, deleter: Deleter, clock: ManualClock
) -> None:
    call = await support.add_running(parts, acme)
    assert await support.delete_call(parts, acme, call)
    await deleter.delete_one(acme.id, Kind.CALL, call.id)
    await support.release_job(parts, call)

    assert await support.fetch_call(parts.database, call.id) is None
    assert await support.list_keys(parts) == []
    assert await support.read_events(parts.bus) == []
    assert await parts.kube.get_calljob(f"call-{call.id}") is None
    assert await parts.bus.get_control(str(call.id)) is ControlAction.CANCEL


async def test_what_a_worker_still_wrote_is_removed_by_a_later_pass(
    parts: Parts, acme: Tenant, deleter: Deleter, clock: ManualClock
) -> None:
    call = await support.add_running(parts, acme)
    await support.delete_call(parts, acme, call)
    await deleter.delete_one(acme.id, Kind.CALL, call.id)
    await support.release_job(parts, call)
    await support.put_result(parts.store, acme, support.call_id_of(call), texts=["late"])
    assert await deleter.delete_due() == 0

    clock.advance(deletions.SETTLE_SECONDS + 60)
    assert await deleter.delete_due() == 1
    assert await support.list_keys(parts) == []
    clock.advance(3600)
    assert await deleter.delete_due() == 0  # finished


async def test_a_deletion_is_not_finished_while_the_job_is_there(
    parts: Parts, acme: Tenant, deleter: Deleter, clock: ManualClock
) -> None:
    call = await support.add_running(parts, acme)
    await support.delete_call(parts, acme, call)
    for _ in range(3):
        clock.advance(3600)
        assert await deleter.delete_due() == 1  # its finalizer holds the job


async def test_a_deletion_that_died_in_between_is_taken_up(
    parts: Parts,
    acme: Tenant,
    deleter: Deleter,
    clock: ManualClock,
    control_plane: ControlPlane,
) -> None:
    call = await support.add_running(parts, acme)
    await support.delete_call(parts, acme, call)
    await control_plane.apiserver.kill()
    try:
        await deleter.delete_one(acme.id, Kind.CALL, call.id)
    finally:
        await control_plane.apiserver.start()
    assert await support.list_keys(parts) != []

    clock.advance(60)
    assert await deleter.delete_due() == 1
    assert await support.list_keys(parts) == []


async def test_deleting_again_or_a_foreign_call_finds_nothing(
    parts: Parts, acme: Tenant, globex: Tenant
) -> None:
    call = await support.add_call(parts.database, acme)

    assert not await support.delete_call(parts, globex, call)
    assert await support.delete_call(parts, acme, call)
    assert not await support.delete_call(parts, acme, call)


async def test_deletion_waits_for_a_relay_that_holds_the_row(parts: Parts, acme: Tenant) -> None:
    call = await support.add_call(parts.database, acme, audio_key="acme/x")
    async with parts.database.company_session(acme.id) as transaction:
        jobs.add(transaction, call, acme.slug)
    async with parts.database.system_session() as relaying:
        await relaying.execute(sa.select(tables.OutboxRow).with_for_update())
        deleting = asyncio.create_task(support.delete_call(parts, acme, call))
        done, _ = await asyncio.wait([deleting], timeout=0.3)
        assert not done

    assert await deleting


async def test_deletion_is_audited(parts: Parts, acme: Tenant) -> None:
    call = await support.add_call(parts.database, acme)
    await support.delete_call(parts, acme, call)

    async with parts.database.company_session(acme.id) as transaction:
        entry = (await transaction.scalars(sa.select(tables.AuditEntry))).one()
    assert (entry.actor, entry.action, entry.subject) == ("key:x", "call.deleted", str(call.id))
