"""How tickets get from the outbox to the workers, and what is left when one is deleted."""

import pytest
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.tickets import deleting
from parlance.api.domain.tickets.deleting import TicketDeletions
from parlance.api.domain.tickets.dispatching import TicketSender
from parlance.api.domain.tickets.leftovers import TicketOwners
from parlance.api.domain.tickets.results.applier import TicketApplier
from parlance.api.outbox import deletions
from parlance.api.outbox.deletions import Deleter
from parlance.api.outbox.relay import Relay
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.bus.tickets import TicketDispatch
from parlance.contracts.calls import Priority
from parlance.contracts.objects import Owner
from parlance.contracts.tickets import TicketState
from parlance.runtime.clock import ManualClock

from devstack import nats_server
from tests.integration.api_db import support as rows
from tests.integration.api_db.support import Parts, Tenant
from tests.integration.api_db.tickets import support


def build_relay(parts: Parts, *, max_waiting_jobs: int = 100) -> Relay:
    sender = TicketSender(parts.bus, parts.clock, max_waiting_jobs=max_waiting_jobs)
    return Relay(parts.database, [sender], parts.clock)


@pytest.fixture
def deleter(parts: Parts, clock: ManualClock) -> Deleter:
    return Deleter(parts.database, [TicketDeletions(parts.store, parts.bus)], clock)


async def delete(parts: Parts, company: Tenant, ticket: tables.Ticket) -> bool:
    async with parts.database.company_session(company.id) as session:
        return await deleting.delete_ticket(session, company.id, ticket.id, actor="key:x")


async def test_a_ticket_goes_to_its_lane_and_says_so_first(parts: Parts, acme: Tenant) -> None:
    ticket = await support.queue_ticket(parts, acme, lane=Priority.BULK)
    assert await build_relay(parts).relay_one(Kind.TICKET, ticket.id)

    [queued] = await rows.read_events(parts.bus)
    [delivery] = await parts.bus.pull_jobs(TicketDispatch, Priority.BULK, wait_seconds=5)
    assert (queued.type, queued.attempt, queued.data) == ("ticket.queued", 1, {"messages": 2})
    assert delivery.value.dispatched_at == queued.timestamp


async def test_sending_twice_is_one_job(parts: Parts, acme: Tenant) -> None:
    ticket = await support.queue_ticket(parts, acme)
    sender = TicketSender(parts.bus, parts.clock)
    async with parts.database.system_session() as session:
        row = await session.scalar(sa.select(tables.OutboxRow))
    assert row is not None
    assert [await sender.send(row), await sender.send(row)] == [True, False]
    assert row.subject_id == ticket.id

    assert await parts.bus.count_jobs(Kind.TICKET) == 1
    assert len(await rows.read_events(parts.bus)) == 1


async def test_what_exceeds_the_window_waits_in_the_outbox(parts: Parts, acme: Tenant) -> None:
    for _ in range(5):
        await support.queue_ticket(parts, acme)
    relay = build_relay(parts, max_waiting_jobs=3)
    sent = [await relay.relay_batch(Kind.TICKET, 10) for _ in range(2)]

    assert sent == [3, 0]
    assert await rows.count_rows(parts.database, tables.OutboxRow) == 2


async def test_a_ticket_that_has_ended_is_not_sent(parts: Parts, acme: Tenant) -> None:
    await support.queue_ticket(parts, acme, state=TicketState.CANCELLED)
    assert await build_relay(parts).relay_batch(Kind.TICKET, 10) == 1

    assert await parts.bus.count_jobs(Kind.TICKET) == 0
    assert await rows.count_rows(parts.database, tables.OutboxRow) == 0


async def test_while_nats_is_away_it_stays_in_the_outbox(
    parts: Parts, acme: Tenant, nats: nats_server.NatsServer
) -> None:
    ticket = await support.queue_ticket(parts, acme)
    relay = build_relay(parts)
    await nats.process.stop()
    assert not await relay.relay_one(Kind.TICKET, ticket.id)
    await nats.process.start()

    assert await rows.count_rows(parts.database, tables.OutboxRow) == 1


async def test_a_dispatch_that_cannot_be_sent_fails_its_ticket_and_no_other(
    parts: Parts, acme: Tenant
) -> None:
    broken, good = [await support.queue_ticket(parts, acme) for _ in range(2)]
    async with parts.database.system_session() as session:
        row = await session.scalar(
            sa.select(tables.OutboxRow).where(tables.OutboxRow.subject_id == broken.id)  # type: ignore[arg-type]  # SQLModel types columns as values
        )
        assert row is not None
        row.payload = {"company": "acme", "attempt": 1}
    assert await build_relay(parts).relay_batch(Kind.TICKET, 10) == 1
    applier = TicketApplier(parts.database, parts.store, parts.bus, parts.clock)
    for event in filter(applier.is_wanted, await rows.read_events(parts.bus)):
        await applier.apply(event)

    states = [
        (await support.fetch_ticket(parts.database, ticket.id)).state for ticket in (broken, good)
    ]
    assert states == [TicketState.FAILED, TicketState.QUEUED]
    assert await rows.count_rows(parts.database, tables.OutboxRow) == 0


async def find_places(parts: Parts, nats: nats_server.NatsServer, word: str) -> set[str]:
    """Streams, tables and objects that have the word in them."""
    found = await support.find_streams(nats, word)
    async with parts.database.system_session() as session:
        for table in ("outbox", "tickets", "ticket_contents", "ticket_insights", "audit"):
            query = sa.text(f"SELECT count(*) FROM {table} AS t WHERE t::text LIKE :pattern")  # noqa: S608 - names from above
            if await session.scalar(query, {"pattern": f"%{word}%"}):
                found.add(table)
    for key in await rows.list_keys(parts):
        if word.encode() in await parts.store.get_bytes(key):
            found.add(key.rpartition("/")[2].partition("-")[0])
    return found


WORD = "xylograph"
"""Stands in the conversation and in the summary of a ticket, and nowhere else."""


@pytest.mark.parametrize(
    ("filler", "places"),
    [
        ("", {"JOBS", "RESULTS", "outbox"}),
        (" and so on" * 2000, {"document", "insights"}),
    ],
)
async def test_no_word_of_a_deleted_ticket_is_left_anywhere(
    parts: Parts,
    acme: Tenant,
    deleter: Deleter,
    clock: ManualClock,
    nats: nats_server.NatsServer,
    filler: str,
    places: set[str],
) -> None:
    """Of one that was just analysed, and was to be analysed once more."""
    text, is_in_store = f"My {WORD} is broken{filler}.", bool(filler)
    ticket = await support.queue_ticket(parts, acme, texts=[text], subject=f"A {WORD}")
    other = await support.queue_ticket(parts, acme, texts=[text.replace(WORD, "zither")])
    assert await build_relay(parts).relay_batch(Kind.TICKET, 10) == 2
    insights = support.build_insights(ticket)
    summary = insights.summary.model_copy(update={"text": text})
    data = insights.model_copy(update={"summary": summary}).model_dump_json().encode()

    async def send_result() -> None:
        result = await support.send_result(
            parts.store, acme.slug, ticket, data=data, is_in_store=is_in_store
        )
        await parts.bus.publish_result(support.build_result(acme.slug, ticket, result))

    await send_result()
    await support.queue_again(parts, acme, ticket, [text])
    before = await find_places(parts, nats, WORD)

    assert await delete(parts, acme, ticket)
    await deleter.delete_one(acme.id, Kind.TICKET, ticket.id)
    after = await find_places(parts, nats, WORD)
    await send_result()  # of a worker in the middle
    clock.advance(deletions.SETTLE_SECONDS + 60)
    await deleter.delete_due()

    assert before == {"tickets", "ticket_contents"} | places
    assert after == set()
    assert await find_places(parts, nats, WORD) == set()
    assert await find_places(parts, nats, "zither") == {"ticket_contents"} | (
        {"document"} if is_in_store else {"JOBS"}
    )
    assert await parts.bus.is_held(acme.slug, Kind.TICKET, str(other.id))


@pytest.mark.parametrize("texts", [support.TEXTS, support.LARGE_TEXTS])
async def test_a_deleted_ticket_leaves_nothing(
    parts: Parts, acme: Tenant, deleter: Deleter, clock: ManualClock, texts: tuple[str, ...]
) -> None:
    ticket = await support.queue_ticket(parts, acme, texts=texts)
    await build_relay(parts).relay_batch(Kind.TICKET, 10)
    await support.send_result(parts.store, acme.slug, ticket, is_in_store=True)
    assert await delete(parts, acme, ticket)
    assert not await delete(parts, acme, ticket)
    await deleter.delete_one(acme.id, Kind.TICKET, ticket.id)
    assert await parts.bus.get_control(str(ticket.id)) is ControlAction.CANCEL

    for table in (tables.Ticket, tables.TicketContent, tables.TicketInsights, tables.OutboxRow):
        assert await rows.count_rows(parts.database, table) == 0
    assert await rows.list_keys(parts) == []
    assert await rows.read_events(parts.bus) == []
    assert await parts.bus.count_jobs(Kind.TICKET) == 0
    # A worker in the middle may still write; a later pass takes it along, and is the last one.
    await support.send_result(parts.store, acme.slug, ticket, is_in_store=True)
    clock.advance(deletions.SETTLE_SECONDS + 60)
    assert await deleter.delete_due() == 1
    assert await rows.list_keys(parts) == []
    clock.advance(3600)
    assert await deleter.delete_due() == 0


async def test_the_janitor_knows_tickets_by_their_rows(
    parts: Parts, acme: Tenant, globex: Tenant
) -> None:
    ticket = await support.add_ticket(parts.database, acme.id)
    known = Owner(acme.slug, Kind.TICKET, str(ticket.id))
    others = {
        Owner(globex.slug, Kind.TICKET, str(ticket.id)),
        Owner(acme.slug, Kind.TICKET, "0190b000-0000-4000-8000-00000000000f"),
    }
    async with parts.database.system_session() as session:
        assert await TicketOwners().find_known(session, {known, *others}) == {known}
    assert await TicketOwners().find_requested(others) == set()
