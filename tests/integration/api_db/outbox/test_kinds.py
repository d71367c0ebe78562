"""The relay and the deleter with a second kind of work beside calls, which only exists here."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.calls import jobs
from parlance.api.domain.calls.deleting import CallDeletions
from parlance.api.domain.calls.jobs import CallSender
from parlance.api.outbox import deletions
from parlance.api.outbox import rows as outbox
from parlance.api.outbox.deletions import Deleter, Target
from parlance.api.outbox.relay import Relay
from parlance.contracts.bus.subjects import Kind
from parlance.runtime.clock import ManualClock
from parlance.runtime.errors import KubeUnavailable, Permanent, Retryable
from sqlmodel import col

from tests.integration.api_db import support
from tests.integration.api_db.support import Parts, Tenant

PARCEL = "parcel"


@dataclass
class Parcels:
    """Sends and deletes parcels, which have no table and no custom resource."""

    kind: str = PARCEL
    trouble: Retryable | None = None
    sent: list[uuid.UUID] = field(default_factory=list)
    deleted: list[Target] = field(default_factory=list)

    async def count_room(self, *, is_inline: bool) -> int:
        if self.trouble is not None:
            raise self.trouble
        return 10

    async def find_wanted(
        self, session: object, subject_ids: Sequence[uuid.UUID]
    ) -> set[uuid.UUID]:
        return set(subject_ids)

    async def send(self, row: tables.OutboxRow) -> bool:
        assert row.payload == {"weight_grams": 5}
        self.sent.append(row.subject_id)
        return True

    async def give_up(self, row: tables.OutboxRow, refusal: Permanent) -> None:
        raise AssertionError(refusal)

    async def delete_outside(self, target: Target) -> bool:
        if self.trouble is not None:
            raise self.trouble
        self.deleted.append(target)
        return True


@pytest.fixture
def parcels() -> Parcels:
    return Parcels()


@pytest.fixture
def relay(parts: Parts, parcels: Parcels) -> Relay:
    calls = CallSender(parts.kube, parts.bus, parts.clock, max_live_jobs=100)
    return Relay(parts.database, [calls, parcels], parts.clock)


@pytest.fixture
def deleter(parts: Parts, parcels: Parcels, clock: ManualClock) -> Deleter:
    calls = CallDeletions(parts.kube, parts.store, parts.bus)
    return Deleter(parts.database, [calls, parcels], clock)


async def add_both(parts: Parts, company: Tenant) -> tables.Call:
    """A call and a parcel of the same id, each with its outbox row; the parcel is more urgent."""
    call = tables.Call(company_id=company.id, audio_key="acme/calls/x/audio.wav")
    async with parts.database.company_session(company.id) as session:
        session.add(call)
        await session.flush()
        jobs.add(session, call, company.slug)
        outbox.add(
            session,
            company_id=company.id,
            kind=PARCEL,
            subject_id=call.id,
            payload={"weight_grams": 5},
            rank=0,
        )
    return call


async def delete_parcel(parts: Parts, company: Tenant, parcel_id: uuid.UUID) -> None:
    async with parts.database.company_session(company.id) as session:
        await deletions.add(session, company_id=company.id, kind=PARCEL, subject_id=parcel_id)


async def list_waiting(parts: Parts) -> list[str]:
    """Kinds of the rows in the outbox."""
    async with parts.database.system_session() as session:
        return sorted((await session.scalars(sa.select(col(tables.OutboxRow.kind)))).all())


async def count_jobs(parts: Parts) -> int:
    return len((await parts.kube.list_calljobs()).items)


async def test_a_batch_sends_one_kind_and_leaves_the_other(
    parts: Parts, acme: Tenant, relay: Relay, parcels: Parcels
) -> None:
    call = await add_both(parts, acme)

    assert await relay.relay_batch(Kind.CALL, 10) == 1
    assert (await list_waiting(parts), parcels.sent) == ([PARCEL], [])
    assert await relay.relay_batch(PARCEL, 10) == 1
    assert (await list_waiting(parts), parcels.sent) == ([], [call.id])


async def test_the_fast_path_sends_the_kind_that_it_is_told(
    parts: Parts, acme: Tenant, relay: Relay, parcels: Parcels
) -> None:
    call = await add_both(parts, acme)

    assert await relay.relay_one(PARCEL, call.id)
    assert (await list_waiting(parts), parcels.sent) == ([Kind.CALL], [call.id])
    assert await count_jobs(parts) == 0


async def test_a_kind_whose_receiver_is_away_does_not_hold_up_the_other(
    parts: Parts, acme: Tenant, relay: Relay, parcels: Parcels
) -> None:
    await add_both(parts, acme)
    parcels.trouble = KubeUnavailable("count")

    with pytest.raises(KubeUnavailable):
        await relay.relay_batch(PARCEL, 10)
    assert await relay.relay_batch(Kind.CALL, 10) == 1
    assert await list_waiting(parts) == [PARCEL]


async def test_rows_of_a_kind_without_a_handler_stay(parts: Parts, acme: Tenant) -> None:
    await add_both(parts, acme)
    calls = CallSender(parts.kube, parts.bus, parts.clock, max_live_jobs=100)
    of_calls = Relay(parts.database, [calls], parts.clock)
    for kind in of_calls.kinds:
        await of_calls.relay_batch(kind, 10)

    assert await list_waiting(parts) == [PARCEL]


async def test_deleting_one_kind_leaves_the_other_of_the_same_id(
    parts: Parts, acme: Tenant, deleter: Deleter, parcels: Parcels
) -> None:
    call = await add_both(parts, acme)
    await delete_parcel(parts, acme, call.id)
    await deleter.delete_one(acme.id, PARCEL, call.id)

    [target] = parcels.deleted
    assert (target.kind, target.subject_id, target.resource_name) == (PARCEL, call.id, None)
    assert await list_waiting(parts) == [Kind.CALL]
    assert await support.fetch_call(parts.database, call.id) is not None
    of_both = {(acme.id, kind, call.id) for kind in (Kind.CALL, PARCEL)}
    async with parts.database.system_session() as session:
        assert await deletions.find_deleted(session, of_both) == {(acme.id, PARCEL, call.id)}


async def test_both_kinds_of_the_same_id_can_be_deleted_and_one_does_not_hold_up_the_other(
    parts: Parts, acme: Tenant, deleter: Deleter, parcels: Parcels, clock: ManualClock
) -> None:
    call = await support.add_running(parts, acme)
    assert await support.delete_call(parts, acme, call)
    await delete_parcel(parts, acme, call.id)
    parcels.trouble = Retryable("away")
    clock.advance(60)
    assert await deleter.delete_due() == 2
    await support.release_job(parts, call)
    assert (await support.list_keys(parts), parcels.deleted) == ([], [])

    parcels.trouble = None
    clock.advance(deletions.SETTLE_SECONDS + 60)
    assert await deleter.delete_due() == 2
    assert [target.subject_id for target in parcels.deleted] == [call.id]
    clock.advance(3600)
    assert await deleter.delete_due() == 0  # both are finished


async def test_a_deletion_of_a_kind_without_a_handler_stays_open(
    parts: Parts, acme: Tenant, deleter: Deleter, clock: ManualClock
) -> None:
    await delete_parcel(parts, acme, uuid.uuid4())
    of_calls = Deleter(parts.database, [CallDeletions(parts.kube, parts.store, parts.bus)], clock)

    clock.advance(60)
    assert await of_calls.delete_due() == 0
    assert await deleter.delete_due() == 1
