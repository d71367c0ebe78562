"""Cancelling a call on real Postgres, NATS and kube-apiserver."""

import asyncio
import pathlib
import re
import uuid

import pytest
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.calls import cancelling, jobs, locking
from parlance.api.http.errors import Refused
from parlance.api.identity.principal import Principal
from parlance.api.outbox import rows as outbox
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.calls import CallStatus
from parlance.contracts.problems import Problem
from parlance.runtime import kube as kubes
from parlance.runtime.errors import KubeUnavailable
from sqlmodel import col

from devstack import waiting
from devstack.controlplane.server import ControlPlane
from tests.integration.api_db import support
from tests.integration.api_db.support import Parts, Tenant


async def cancel(parts: Parts, company: Tenant, call_id: uuid.UUID) -> None:
    principal = Principal(company.id, company.slug, "key", frozenset({"admin"}))
    await cancelling.cancel(parts.database, parts.kube, parts.bus, principal, call_id)


async def test_a_call_with_a_job_is_cancelled_by_the_cluster(parts: Parts, acme: Tenant) -> None:
    call = await support.add_call(parts.database, acme, audio_key="acme/calls/x/audio.wav")
    await parts.kube.create_calljob(jobs.build_calljob(call, acme.slug))

    await cancel(parts, acme, call.id)

    job = await parts.kube.get_calljob(f"call-{call.id}")
    stored = await support.fetch_call(parts.database, call.id)
    assert job is not None
    assert job["spec"]["cancel"] is True
    assert stored is not None
    assert stored.status is CallStatus.QUEUED  # until the operator's word comes back


async def test_a_call_whose_job_is_lost_is_cancelled_here(parts: Parts, acme: Tenant) -> None:
    call = await support.add_call(parts.database, acme, audio_key="acme/calls/x/audio.wav")

    await cancel(parts, acme, call.id)

    stored = await support.fetch_call(parts.database, call.id)
    assert stored is not None
    assert stored.status is CallStatus.CANCELLED
    assert [event.type for event in await support.read_events(parts.bus)] == ["call.cancelled"]
    assert await read_audit(parts) == ["call.cancel_requested", "call.cancelled"]


async def test_a_call_that_still_waits_never_gets_a_job(parts: Parts, acme: Tenant) -> None:
    call = await support.add_call(parts.database, acme, audio_key="acme/calls/x/audio.wav")
    async with parts.database.company_session(acme.id) as session:
        jobs.add(session, call, acme.slug)

    await cancel(parts, acme, call.id)

    stored = await support.fetch_call(parts.database, call.id)
    assert stored is not None
    assert stored.status is CallStatus.CANCELLED
    assert await support.count_rows(parts.database, tables.OutboxRow) == 0


async def test_a_cancellation_that_the_cluster_did_not_take_is_not_told_as_done(
    parts: Parts, acme: Tenant, control_plane: ControlPlane, tmp_path: pathlib.Path
) -> None:
    call = await support.add_call(parts.database, acme, audio_key="acme/calls/x/audio.wav")
    principal = Principal(acme.id, acme.slug, "key", frozenset({"admin"}))
    config = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:1", control_plane.kubeconfig.read_text())
    nowhere = tmp_path / "nowhere.kubeconfig"
    nowhere.write_text(config)
    async with kubes.open_kube(support.build_kube_settings(nowhere)) as away:
        with pytest.raises(KubeUnavailable):
            await cancelling.cancel(parts.database, away, parts.bus, principal, call.id)

    assert await read_audit(parts) == ["call.cancel_requested"]


async def test_cancelling_waits_for_a_recorder_that_ends_the_call(
    parts: Parts, acme: Tenant
) -> None:
    """The recorder locks the call and then its outbox row. In the other order each would wait for
    the other until Postgres breaks one of them off."""
    call = await support.add_call(parts.database, acme, audio_key="acme/calls/x/audio.wav")
    async with parts.database.company_session(acme.id) as session:
        jobs.add(session, call, acme.slug)
    async with parts.database.company_session(acme.id) as session:
        held = await locking.lock_call(session, acme.id, call.id)
        assert held is not None
        cancelled = asyncio.create_task(cancel(parts, acme, call.id))
        await waiting.wait_until(lambda: is_waited_for(parts), 10, "the cancellation waits")
        await outbox.withdraw(session, acme.id, Kind.CALL, call.id)
        held.status = CallStatus.COMPLETED

    with pytest.raises(Refused) as caught:
        await cancelled
    assert caught.value.problem is Problem.ALREADY_FINISHED


async def read_audit(parts: Parts) -> list[str]:
    query = sa.select(col(tables.AuditEntry.action)).order_by(col(tables.AuditEntry.id))
    async with parts.database.system_session() as session:
        return list((await session.scalars(query)).all())


async def is_waited_for(parts: Parts) -> bool:
    """Whether a transaction waits for a lock that another one holds."""
    query = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with parts.database.system_session() as session:
        return bool(await session.scalar(query))
