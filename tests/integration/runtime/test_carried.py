"""Conversations and insights that travel in messages, on a real nats-server: what is known of those
of one ticket, and that they can be deleted with it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import nats as nats_client
import pytest
from nats.aio.client import Client
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus import streams, subjects
from parlance.contracts.bus import tickets as ticket_events
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.subjects import InvalidSubject, Kind
from parlance.contracts.bus.tickets import Carried, Result, TicketDispatch
from parlance.contracts.calls import Priority
from parlance.contracts.ids import CompanySlug, TicketId, new_call_id, new_uuid7
from parlance.runtime.bus import Bus

from devstack import nats_server, waiting

ACME, GLOBEX = CompanySlug("acme"), CompanySlug("globex")


@pytest.fixture
async def raw(nats: nats_server.NatsServer) -> AsyncIterator[Client]:
    """Another connection, for a look at what is stored."""
    client = await nats_client.connect(nats.url)
    yield client
    await client.close()


def new_ticket_id() -> TicketId:
    return TicketId(str(new_uuid7()))


def build_dispatch(
    ticket_id: TicketId, *, attempt: int = 1, priority: Priority = Priority.STANDARD
) -> TicketDispatch:
    return TicketDispatch(
        ticket_id=ticket_id,
        company=ACME,
        attempt=attempt,
        uid=ticket_id,
        priority=priority,
        document=Carried(content="{}"),
        messages=1,
        dispatched_at=datetime.now(UTC),
    )


def build_call_dispatch() -> call_events.CallDispatch:
    call_id = new_call_id()
    return call_events.CallDispatch(
        call_id=call_id,
        company=ACME,
        attempt=1,
        name=f"call-{call_id}",
        namespace="parlance",
        uid=call_id,
        object_key="acme/calls/x/audio.wav",
        dispatched_at=datetime.now(UTC),
    )


def build_result(ticket_id: TicketId, *, attempt: int = 1, company: CompanySlug = ACME) -> Envelope:
    return ticket_events.EVENTS.build_result(
        Result(insights=Carried(content="{}"), seconds=0.1),
        company=company,
        subject=ticket_id,
        attempt=attempt,
        at=datetime.now(UTC),
    )


async def list_subjects(raw: Client, stream: streams.Stream) -> dict[str, int]:
    """How many messages there are of each subject."""
    info = await raw.jetstream().stream_info(stream.name, subjects_filter=">")
    return info.state.subjects or {}


async def test_a_result_is_taken_by_the_recorder_and_gone_after_its_ack(
    bus: Bus, raw: Client
) -> None:
    sent = build_result(new_ticket_id())
    await bus.publish_result(sent)
    await bus.publish_result(sent)

    [taken] = await bus.pull_events(streams.TICKET_RESULTS, wait_seconds=5)

    assert taken.value == sent
    await taken.ack()
    assert await list_subjects(raw, streams.RESULTS) == {}


async def test_results_are_no_events(bus: Bus) -> None:
    await bus.publish_result(build_result(new_ticket_id()))

    assert [event async for event in bus.read_events(subjects.EVENTS_ALL)] == []


async def test_what_dispatches_and_results_carry_of_one_ticket_is_deleted_and_nothing_else(
    bus: Bus, raw: Client
) -> None:
    mine, other = new_ticket_id(), new_ticket_id()
    for ticket_id in (mine, other):
        for attempt, priority in enumerate(Priority, start=1):
            await bus.publish_job(build_dispatch(ticket_id, attempt=attempt, priority=priority))
        for attempt in (1, 2):
            await bus.publish_result(build_result(ticket_id, attempt=attempt))
    await bus.publish_job(build_call_dispatch())
    await bus.publish_result(build_result(mine, attempt=3, company=GLOBEX))

    await bus.purge_carried(ACME, Kind.TICKET, mine)

    assert await list_subjects(raw, streams.JOBS) == {
        subjects.format_job(Kind.CALL, Priority.STANDARD, ""): 1,
        **{subjects.format_job(Kind.TICKET, priority, other): 1 for priority in Priority},
    }
    assert await list_subjects(raw, streams.RESULTS) == {
        subjects.format_result(ACME, Kind.TICKET, other): 2,
        subjects.format_result(GLOBEX, Kind.TICKET, mine): 1,
    }


async def test_what_a_worker_holds_is_deleted_too_and_its_ack_does_no_harm(bus: Bus) -> None:
    mine, other = new_ticket_id(), new_ticket_id()
    await bus.publish_job(build_dispatch(mine))
    [held] = await bus.pull_jobs(TicketDispatch, Priority.STANDARD, wait_seconds=5)
    await bus.purge_carried(ACME, Kind.TICKET, mine)
    is_queued = await bus.is_held(ACME, Kind.TICKET, mine)
    await held.ack_unconfirmed()
    await bus.publish_job(build_dispatch(other))
    [next_] = await bus.pull_jobs(TicketDispatch, Priority.STANDARD, wait_seconds=5)

    assert not is_queued
    assert next_.value.ticket_id == other
    await next_.ack()
    assert await bus.count_jobs(Kind.TICKET) == 0


async def test_the_jobs_of_one_call_cannot_be_deleted_for_they_are_those_of_all(bus: Bus) -> None:
    job = await bus.publish_job(build_call_dispatch())
    with pytest.raises(InvalidSubject):
        await bus.purge_carried(ACME, Kind.CALL, new_call_id())

    assert await bus.is_job_stored(job.sequence)


async def test_a_ticket_is_queued_until_its_job_is_acked(bus: Bus) -> None:
    mine, other = new_ticket_id(), new_ticket_id()
    for priority in (Priority.BULK, Priority.STANDARD):
        await bus.publish_job(build_dispatch(other, priority=priority))
    before = await bus.is_held(ACME, Kind.TICKET, mine)
    await bus.publish_job(build_dispatch(mine, priority=Priority.INTERACTIVE))
    while_waiting = await bus.is_held(ACME, Kind.TICKET, mine)
    [delivery] = await bus.pull_jobs(TicketDispatch, Priority.INTERACTIVE, wait_seconds=5)
    while_held = await bus.is_held(ACME, Kind.TICKET, mine)
    await delivery.ack()

    assert (before, while_waiting, while_held) == (False, True, True)
    assert not await bus.is_held(ACME, Kind.TICKET, mine)
    assert await bus.is_held(ACME, Kind.TICKET, other)


async def test_jobs_are_counted_in_all_lanes_while_they_wait_and_while_they_are_held(
    bus: Bus,
) -> None:
    for priority in Priority:
        for _ in range(3):
            await bus.publish_job(build_dispatch(new_ticket_id(), priority=priority))
    await bus.publish_job(build_call_dispatch())
    [first, second] = await bus.pull_jobs(TicketDispatch, Priority.BULK, batch=2, wait_seconds=5)
    while_held = await bus.count_jobs(Kind.TICKET)
    await first.ack()
    await second.nak()

    async def is_counted() -> bool:
        return await bus.count_jobs(Kind.TICKET) == 8

    await waiting.wait_until(is_counted, 5, "the acked job is not counted any more")
    assert while_held == 9
    assert await bus.count_jobs(Kind.CALL) == 1


async def test_the_oldest_job_of_a_lane_is_found_whichever_ticket_it_is_of(bus: Bus) -> None:
    assert await bus.find_oldest_job(Kind.TICKET, Priority.BULK) is None
    for _ in range(2):
        await bus.publish_job(build_dispatch(new_ticket_id(), priority=Priority.BULK))
    oldest = await bus.find_oldest_job(Kind.TICKET, Priority.BULK)
    [delivery] = await bus.pull_jobs(TicketDispatch, Priority.BULK, wait_seconds=5)
    await delivery.ack()
    newest = await bus.find_oldest_job(Kind.TICKET, Priority.BULK)

    assert oldest is not None
    assert newest is not None
    assert oldest < newest
    assert await bus.find_oldest_job(Kind.TICKET, Priority.STANDARD) is None
