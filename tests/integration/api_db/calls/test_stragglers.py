"""Calls that have been open for long, looked up in a real cluster."""

import uuid
from datetime import timedelta

import pytest
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.calls.results.applier import CallApplier
from parlance.api.domain.calls.stragglers import QUIET_SECONDS, Stragglers
from parlance.contracts.calls import CallStatus
from parlance.runtime.clock import ManualClock
from sqlmodel import col

from tests.integration.api_db import support
from tests.integration.api_db.support import Parts, Tenant


@pytest.fixture
def stragglers(parts: Parts, clock: ManualClock) -> Stragglers:
    applier = CallApplier(parts.database, parts.store, parts.bus, clock)
    return Stragglers(parts.database, parts.kube, parts.bus, applier, clock)


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
    call = await support.add_running(parts, acme)
    await age(parts, call)
    await stragglers.run_pass()

    stored = await support.fetch_call(parts.database, call.id)
    assert stored is not None
    assert stored.status is CallStatus.PROCESSING
    assert await support.count_rows(parts.database, tables.OutboxRow) == 0


async def test_a_verdict_that_was_not_heard_is_read_from_the_job(
    parts: Parts, acme: Tenant, stragglers: Stragglers
) -> None:
    call = await support.add_running(parts, acme)
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
