"""The relay on real Postgres, NATS and kube-apiserver."""

import asyncio
import dataclasses
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.calls import jobs
from parlance.api.domain.calls.jobs import CallSender
from parlance.api.outbox import relay
from parlance.api.outbox.relay import Relay
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.calls import CallStatus, ChannelPolicy, Priority
from parlance.contracts.crs import meta
from parlance.contracts.crs.v1alpha1 import calljob
from parlance.runtime import kube as kube_package
from parlance.runtime.errors import KubeUnavailable
from parlance.runtime.kube import Kube
from sqlmodel import col

from devstack import waiting
from devstack.controlplane.server import ControlPlane
from tests.integration.api_db import support
from tests.integration.api_db.support import Parts, Tenant


def build_relay(
    parts: Parts,
    *,
    kube: Kube | None = None,
    max_live_jobs: int = 100,
    inline_seconds: float = relay.INLINE_SECONDS,
) -> Relay:
    sender = CallSender(kube or parts.kube, parts.bus, parts.clock, max_live_jobs=max_live_jobs)
    return Relay(parts.database, [sender], parts.clock, inline_seconds=inline_seconds)


async def add_waiting(parts: Parts, company: Tenant, **values: Any) -> tables.Call:
    """A call with its outbox row, as the API commits them."""
    call = tables.Call(company_id=company.id, audio_key="acme/calls/x/audio.wav", **values)
    async with parts.database.company_session(company.id) as transaction:
        transaction.add(call)
        await transaction.flush()
        jobs.add(transaction, call, company.slug, traceparent="00-aa-bb-01")
    return call


async def list_names(kube: Kube) -> list[str]:
    page = await kube.list_calljobs()
    return [item["metadata"]["name"] for item in page.items]


async def test_a_committed_call_becomes_a_calljob(parts: Parts, acme: Tenant) -> None:
    call = await add_waiting(
        parts, acme, sha256="a" * 64, channels=ChannelPolicy.AGENT_LEFT, priority=Priority.BULK
    )

    assert await build_relay(parts).relay_one(Kind.CALL, call.id)
    stored = await parts.kube.get_calljob(f"call-{call.id}")
    assert stored is not None
    job = calljob.CallJob.model_validate(stored)
    assert job.call_id == str(call.id)
    assert job.spec.audio.object_key == "acme/calls/x/audio.wav"
    assert job.spec.channels is calljob.Channels.AGENT_LEFT
    assert job.spec.priority_class is calljob.PriorityClass.BULK
    assert job.metadata.labels == {meta.COMPANY_LABEL: "acme"}
    assert job.metadata.finalizers == (meta.FINALIZER,)
    assert job.metadata.annotations[meta.TRACEPARENT_ANNOTATION] == "00-aa-bb-01"
    assert await support.count_rows(parts.database, tables.OutboxRow) == 0


async def test_a_calljob_that_exists_already_is_success(parts: Parts, acme: Tenant) -> None:
    call = await add_waiting(parts, acme)
    await parts.kube.create_calljob(jobs.build_calljob(call, acme.slug))

    assert await build_relay(parts).relay_batch(Kind.CALL, 10) == 1
    assert await support.count_rows(parts.database, tables.OutboxRow) == 0


async def test_urgent_calls_go_first_and_the_window_stops_the_rest(
    parts: Parts, acme: Tenant
) -> None:
    bulk = await add_waiting(parts, acme, priority=Priority.BULK)
    standard = [await add_waiting(parts, acme) for _ in range(2)]
    urgent = await add_waiting(parts, acme, priority=Priority.INTERACTIVE)

    assert await build_relay(parts, max_live_jobs=2).relay_batch(Kind.CALL, 10) == 2
    assert set(await list_names(parts.kube)) == {f"call-{urgent.id}", f"call-{standard[0].id}"}
    assert bulk.id not in [call.id for call in standard]


async def test_a_finished_job_makes_room(parts: Parts, acme: Tenant) -> None:
    first, second = [await add_waiting(parts, acme) for _ in range(2)]
    narrow = build_relay(parts, max_live_jobs=1)
    assert await narrow.relay_batch(Kind.CALL, 10) == 1
    assert await narrow.relay_batch(Kind.CALL, 10) == 0

    label = {"metadata": {"labels": {meta.TERMINAL_LABEL: "true"}}}
    await parts.kube.patch_calljob(f"call-{first.id}", label)
    assert await build_relay(parts, max_live_jobs=1).relay_batch(Kind.CALL, 10) == 1
    assert f"call-{second.id}" in await list_names(parts.kube)


async def test_the_fast_path_leaves_the_last_places_to_the_backlog(
    parts: Parts, acme: Tenant
) -> None:
    calls = [await add_waiting(parts, acme) for _ in range(10)]
    narrow = build_relay(parts, max_live_jobs=10)
    relayed = [await narrow.relay_one(Kind.CALL, call.id) for call in calls]

    assert relayed == [True] * 9 + [False]


@pytest.mark.parametrize("status", [CallStatus.CANCELLED, CallStatus.FAILED])
async def test_a_finished_call_never_gets_a_calljob(
    parts: Parts, acme: Tenant, status: CallStatus
) -> None:
    await add_waiting(parts, acme, status=status)

    await build_relay(parts).relay_batch(Kind.CALL, 10)
    assert await list_names(parts.kube) == []
    assert await support.count_rows(parts.database, tables.OutboxRow) == 0


async def test_a_deleted_call_never_gets_a_calljob(parts: Parts, acme: Tenant) -> None:
    call = await add_waiting(parts, acme)
    assert await support.delete_call(parts, acme, call)

    assert await build_relay(parts).relay_batch(Kind.CALL, 10) == 0
    assert await list_names(parts.kube) == []


async def test_many_relays_at_once_create_each_job_once(parts: Parts, acme: Tenant) -> None:
    calls = [await add_waiting(parts, acme) for _ in range(20)]
    relays = [build_relay(parts) for _ in range(4)]
    settled = await asyncio.gather(*(each.relay_batch(Kind.CALL, 10) for each in relays))
    while sum(settled) < 20:
        settled.append(await relays[0].relay_batch(Kind.CALL, 10))

    assert sum(settled) == 20
    assert set(await list_names(parts.kube)) == {f"call-{call.id}" for call in calls}


async def test_a_cluster_that_is_away_costs_nothing_but_time(
    parts: Parts, acme: Tenant, control_plane: ControlPlane
) -> None:
    call = await add_waiting(parts, acme)
    eager = build_relay(parts)
    await control_plane.apiserver.kill()
    try:
        assert not await eager.relay_one(Kind.CALL, call.id)
    finally:
        await control_plane.apiserver.start()

    await waiting.wait_until(lambda: eager.relay_one(Kind.CALL, call.id), 30, "the call is relayed")
    assert await list_names(parts.kube) == [f"call-{call.id}"]


async def test_a_cluster_that_hangs_does_not_take_the_connections(
    parts: Parts, acme: Tenant, control_plane: ControlPlane
) -> None:
    calls = [await add_waiting(parts, acme) for _ in range(40)]
    eager = build_relay(parts, inline_seconds=5.0)
    await control_plane.apiserver.pause()
    try:
        async with asyncio.TaskGroup() as group:
            relaying = [group.create_task(eager.relay_one(Kind.CALL, call.id)) for call in calls]
            await asyncio.wait_for(parts.database.ping(), 4.0)
            assert not any(each.done() for each in relaying)
        assert not any(each.result() for each in relaying)
    finally:
        control_plane.apiserver.resume()

    assert await support.count_rows(parts.database, tables.OutboxRow) == 40


async def test_rows_that_failed_come_back_later(parts: Parts, acme: Tenant) -> None:
    call = await add_waiting(parts, acme)
    await parts.kube.list_calljobs()

    async def refuse(*_: object, **__: object) -> bool:
        raise KubeUnavailable("create")

    broken: Any = dataclasses.make_dataclass("Broken", [])()
    broken.create_calljob = refuse
    broken.count_live_calljobs = parts.kube.count_live_calljobs
    assert await build_relay(parts, kube=broken).relay_batch(Kind.CALL, 10) == 0
    assert await build_relay(parts).relay_batch(Kind.CALL, 10) == 0  # not due yet

    async with parts.database.system_session() as transaction:
        row = await transaction.scalar(
            sa.select(tables.OutboxRow).where(col(tables.OutboxRow.subject_id) == call.id)
        )
    assert row is not None
    assert row.attempts == 1
    assert row.next_at > parts.clock.now() - timedelta(seconds=1)


async def test_a_missing_namespace_is_waited_for_and_fails_no_call(
    parts: Parts, acme: Tenant, control_plane: ControlPlane
) -> None:
    call = await add_waiting(parts, acme)
    settings = support.build_kube_settings(control_plane.kubeconfig, "not-there")
    async with kube_package.open_kube(settings) as elsewhere:
        assert await build_relay(parts, kube=elsewhere).relay_batch(Kind.CALL, 10) == 0

    stored = await support.fetch_call(parts.database, call.id)
    assert stored is not None
    assert stored.status is CallStatus.QUEUED
    assert await support.read_events(parts.bus) == []


async def test_a_job_that_the_cluster_refuses_fails_its_call(parts: Parts, acme: Tenant) -> None:
    call = await add_waiting(parts, acme)
    async with parts.database.system_session() as transaction:
        row = (await transaction.scalars(sa.select(tables.OutboxRow))).one()
        spec: Any = row.payload["spec"]
        row.payload = row.payload | {"spec": spec | {"channels": "Sideways"}}
    await build_relay(parts).relay_batch(Kind.CALL, 10)

    [failed] = await support.read_events(parts.bus)
    assert (failed.subject, failed.data["reason"]) == (str(call.id), "InvalidInput")
