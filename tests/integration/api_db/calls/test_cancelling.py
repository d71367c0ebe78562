"""Cancelling a call on real Postgres, NATS and kube-apiserver."""

import uuid

from parlance.api.domain.calls import cancelling, jobs
from parlance.api.identity.principal import Principal
from parlance.contracts.calls import CallStatus

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
