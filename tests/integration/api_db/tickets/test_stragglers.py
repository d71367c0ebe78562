"""Tickets whose job was lost, on a real NATS whose store is lost."""

from typing import cast

import pytest
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.tickets.dispatching import TicketSender
from parlance.api.domain.tickets.stragglers import (
    QUIET_ROUND_SECONDS,
    STALL_SECONDS,
    Stragglers,
)
from parlance.api.outbox.relay import Relay
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.bus.tickets import TicketDispatch
from parlance.contracts.calls import Priority
from parlance.contracts.tickets import TicketState
from parlance.runtime.clock import ManualClock
from parlance.runtime.errors import Retryable
from parlance.runtime.store import Store
from sqlmodel import col

from devstack import nats_server, waiting
from tests.integration.api_db import support as rows
from tests.integration.api_db.support import Parts, Tenant
from tests.integration.api_db.tickets import support


@pytest.fixture
def stragglers(parts: Parts, clock: ManualClock) -> Stragglers:
    return Stragglers(parts.database, parts.store, parts.bus, clock)


@pytest.fixture
def relay(parts: Parts) -> Relay:
    return Relay(parts.database, [TicketSender(parts.bus, parts.clock)], parts.clock)


async def count_outbox(parts: Parts) -> int:
    return await rows.count_rows(parts.database, tables.OutboxRow)


async def run_quiet_pass(stragglers: Stragglers, clock: ManualClock) -> None:
    clock.advance(QUIET_ROUND_SECONDS)
    await stragglers.run_pass()


@pytest.mark.parametrize("texts", [support.TEXTS, support.LARGE_TEXTS])
async def test_when_all_of_nats_is_lost_open_tickets_are_sent_again_at_once(
    parts: Parts,
    acme: Tenant,
    stragglers: Stragglers,
    relay: Relay,
    nats: nats_server.NatsServer,
    texts: tuple[str, ...],
) -> None:
    open_ = await support.queue_ticket(parts, acme, texts=texts, state=TicketState.PROCESSING)
    ended = await support.queue_ticket(parts, acme, state=TicketState.FAILED)
    await relay.relay_batch(Kind.TICKET, 10)
    await nats.wipe()
    await parts.store.delete_prefix(f"{acme.slug}/tickets/{open_.id}/")

    async def is_looked_at() -> bool:
        try:
            await stragglers.run_pass()
        except Retryable:
            return False
        return True

    await waiting.wait_until(is_looked_at, 20, "NATS answers again")
    await relay.relay_batch(Kind.TICKET, 10)
    [delivery] = await parts.bus.pull_jobs(
        TicketDispatch, Priority.STANDARD, batch=10, wait_seconds=5
    )

    assert (delivery.value.ticket_id, delivery.value.attempt) == (str(open_.id), 1)
    document = await support.read_document(parts.store, delivery.value)
    assert [message.text for message in document.messages] == list(texts)
    assert (await support.fetch_ticket(parts.database, open_.id)).state is TicketState.QUEUED
    assert (await support.fetch_ticket(parts.database, ended.id)).state is TicketState.FAILED


async def test_a_loss_is_settled_once(
    parts: Parts, acme: Tenant, stragglers: Stragglers, relay: Relay
) -> None:
    ticket = await support.add_ticket(parts.database, acme.id)
    await support.make_quiet(parts, ticket, 120)
    await stragglers.run_pass()
    assert await relay.relay_batch(Kind.TICKET, 10) == 1
    await support.make_quiet(parts, ticket, 120)
    await stragglers.run_pass()

    assert await count_outbox(parts) == 0


async def test_what_waits_in_the_outbox_is_not_lost(
    parts: Parts, acme: Tenant, stragglers: Stragglers
) -> None:
    ticket = await support.queue_ticket(parts, acme)
    await support.make_quiet(parts, ticket, STALL_SECONDS + 60)
    await stragglers.run_pass()

    assert await count_outbox(parts) == 1


async def test_a_ticket_that_is_quiet_and_not_in_its_lane_is_sent_again(
    parts: Parts, acme: Tenant, stragglers: Stragglers, clock: ManualClock
) -> None:
    await stragglers.run_pass()
    ticket = await support.add_ticket(parts.database, acme.id, state=TicketState.PROCESSING)
    await support.make_quiet(parts, ticket, STALL_SECONDS - 90)
    await run_quiet_pass(stragglers, clock)
    assert await count_outbox(parts) == 0
    await support.make_quiet(parts, ticket, STALL_SECONDS + 60)
    await run_quiet_pass(stragglers, clock)

    assert await count_outbox(parts) == 1


async def test_a_ticket_that_may_still_wait_in_a_long_queue_is_left_there(
    parts: Parts, acme: Tenant, stragglers: Stragglers, clock: ManualClock, relay: Relay
) -> None:
    await stragglers.run_pass()
    await support.queue_ticket(parts, acme)
    await relay.relay_batch(Kind.TICKET, 10)
    clock.advance(2 * STALL_SECONDS)  # the job that was just queued is the oldest of its lane
    await support.add_ticket(parts.database, acme.id)
    other = await support.add_ticket(parts.database, acme.id, lane=Priority.BULK)
    await run_quiet_pass(stragglers, clock)
    async with parts.database.system_session() as session:
        waiting_ids = (await session.scalars(sa.select(col(tables.OutboxRow.subject_id)))).all()

    assert waiting_ids == [other.id]


async def test_a_ticket_that_still_waits_in_its_lane_is_not_sent_again(
    parts: Parts, acme: Tenant, stragglers: Stragglers, clock: ManualClock, relay: Relay
) -> None:
    """Its work was asked for long before, and it waited in the outbox until now."""
    await stragglers.run_pass()
    ticket = await support.queue_ticket(parts, acme)
    await relay.relay_batch(Kind.TICKET, 10)
    await support.make_quiet(parts, ticket, STALL_SECONDS + 60)
    await run_quiet_pass(stragglers, clock)
    while_waiting = await count_outbox(parts)
    [delivery] = await parts.bus.pull_jobs(TicketDispatch, Priority.STANDARD, wait_seconds=5)
    await run_quiet_pass(stragglers, clock)
    while_held = await count_outbox(parts)
    await delivery.ack()
    await run_quiet_pass(stragglers, clock)

    assert (while_waiting, while_held, await count_outbox(parts)) == (0, 0, 1)


async def test_a_ticket_whose_result_waits_for_the_recorder_is_not_sent_again(
    parts: Parts, acme: Tenant, stragglers: Stragglers, clock: ManualClock
) -> None:
    await stragglers.run_pass()
    ticket = await support.add_ticket(parts.database, acme.id)
    await support.make_quiet(parts, ticket, STALL_SECONDS + 60)
    result = await support.send_result(parts.store, acme.slug, ticket)
    await parts.bus.publish_result(support.build_result(acme.slug, ticket, result))
    await run_quiet_pass(stragglers, clock)

    assert await count_outbox(parts) == 0


class EndingStore:
    """Ends the attempt while its document is put once more."""

    def __init__(self, parts: Parts, ticket: tables.Ticket) -> None:
        self._parts = parts
        self._ticket = ticket

    async def put_bytes(self, key: str, data: bytes) -> None:
        await self._parts.store.put_bytes(key, data)
        await support.change_ticket(
            self._parts.database, self._ticket.id, state=TicketState.CANCELLED
        )

    async def delete(self, key: str) -> None:
        await self._parts.store.delete(key)


async def test_a_ticket_that_ends_meanwhile_leaves_no_document(
    parts: Parts, acme: Tenant, clock: ManualClock
) -> None:
    ticket = await support.add_ticket(parts.database, acme.id, texts=support.LARGE_TEXTS)
    await support.make_quiet(parts, ticket, 120)
    store = cast("Store", EndingStore(parts, ticket))
    await Stragglers(parts.database, store, parts.bus, clock).run_pass()

    stored = await support.fetch_ticket(parts.database, ticket.id)
    assert stored.state is TicketState.CANCELLED
    assert await rows.list_keys(parts) == []
    assert await count_outbox(parts) == 0


async def test_two_recorders_send_a_lost_ticket_once(
    parts: Parts, acme: Tenant, clock: ManualClock
) -> None:
    ticket = await support.add_ticket(parts.database, acme.id)
    await support.make_quiet(parts, ticket, 120)
    for _ in range(2):
        await Stragglers(parts.database, parts.store, parts.bus, clock).run_pass()

    assert await count_outbox(parts) == 1
