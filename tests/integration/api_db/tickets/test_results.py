"""What the recorder writes about tickets, on real Postgres, NATS and store: each result once, one
end per attempt, nothing of an older attempt."""

import asyncio
from datetime import datetime, timedelta
from typing import cast

import pytest
from parlance.api.db import tables
from parlance.api.db.errors import QueryRejected
from parlance.api.domain.results.events import MalformedEvent
from parlance.api.domain.tickets import contents
from parlance.api.domain.tickets.locking import lock_ticket
from parlance.api.domain.tickets.results.applier import TicketApplier
from parlance.api.domain.tickets.results.writer import TicketLocked
from parlance.contracts import lifecycle, objects
from parlance.contracts.bus import tickets as ticket_events
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.kinds import Cancelled
from parlance.contracts.bus.tickets import EventType
from parlance.contracts.ids import CompanySlug
from parlance.contracts.lifecycle import Life, Step
from parlance.contracts.tickets import TicketState
from parlance.contracts.values import Value
from parlance.runtime.bus import Bus
from parlance.runtime.errors import BusUnavailable

from tests.integration.api_db import support as rows
from tests.integration.api_db.support import Parts, Tenant
from tests.integration.api_db.tickets import support

ENDED = ["ticket.analyzed", "ticket.completed"]
"""What is said when a result is recorded."""


@pytest.fixture
def applier(parts: Parts) -> TicketApplier:
    return TicketApplier(parts.database, parts.store, parts.bus, parts.clock)


@pytest.fixture
async def ticket(parts: Parts, acme: Tenant) -> tables.Ticket:
    return await support.add_ticket(parts.database, acme.id)


async def fetch(parts: Parts, ticket: tables.Ticket) -> tables.Ticket:
    return await support.fetch_ticket(parts.database, ticket.id)


async def read_types(parts: Parts) -> list[str]:
    return [event.type for event in await rows.read_events(parts.bus)]


@pytest.fixture(params=[False, True], ids=["carried", "in the store"])
def is_in_store(request: pytest.FixtureRequest) -> bool:
    """The tests that take it are about insights on both ways."""
    return bool(request.param)


async def build_result(
    parts: Parts,
    company: Tenant,
    ticket: tables.Ticket,
    *,
    attempt: int = 1,
    score: float = 0.5,
    is_in_store: bool = False,
) -> Envelope:
    data = await support.send_result(
        parts.store, company.slug, ticket, attempt=attempt, score=score, is_in_store=is_in_store
    )
    return support.build_result(company.slug, ticket, data, attempt=attempt)


async def test_the_same_result_again_is_stored_once_and_said_once(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket, is_in_store: bool
) -> None:
    result = await build_result(parts, acme, ticket, is_in_store=is_in_store)
    await applier.apply(result)
    first = await fetch(parts, ticket)
    await applier.apply(result)

    assert await fetch(parts, ticket) == first
    assert await read_types(parts) == ENDED
    assert await rows.count_rows(parts.database, tables.TicketInsights) == 1


async def test_a_recorder_that_died_after_its_commit_leaves_no_ticket_without_an_end(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket, is_in_store: bool
) -> None:
    result = await build_result(parts, acme, ticket, is_in_store=is_in_store)
    await support.change_ticket(parts.database, ticket.id, state=TicketState.COMPLETED)
    await applier.apply(result)

    assert await read_types(parts) == ENDED
    assert await rows.list_keys(parts) == []


class FaultyBus:
    """Cannot be reached when an event of one type is published for the first time."""

    def __init__(self, bus: Bus, type_: EventType) -> None:
        self._bus = bus
        self._type = type_
        self._is_reached = False

    async def publish_event(self, envelope: Envelope) -> int:
        if envelope.type == self._type and not self._is_reached:
            self._is_reached = True
            raise BusUnavailable("publish")
        return await self._bus.publish_event(envelope)


@pytest.mark.parametrize("type_", [EventType.ANALYZED, EventType.COMPLETED])
async def test_analyzed_is_said_before_completed_also_when_the_bus_is_away_in_between(
    parts: Parts, acme: Tenant, ticket: tables.Ticket, type_: EventType, is_in_store: bool
) -> None:
    """Readers stop at `completed`."""
    bus = cast("Bus", FaultyBus(parts.bus, type_))
    applier = TicketApplier(parts.database, parts.store, bus, parts.clock)
    result = await build_result(parts, acme, ticket, is_in_store=is_in_store)
    with pytest.raises(BusUnavailable):
        await applier.apply(result)
    kept = await rows.list_keys(parts)
    await applier.apply(result)

    assert await read_types(parts) == ENDED
    assert len(kept) == is_in_store
    assert await rows.list_keys(parts) == []


async def test_the_next_result_replaces_the_last_one(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket, is_in_store: bool
) -> None:
    await applier.apply(await build_result(parts, acme, ticket, is_in_store=is_in_store))
    await support.change_ticket(
        parts.database, ticket.id, state=TicketState.QUEUED, attempt=2, completed_at=None
    )
    await applier.apply(
        await build_result(parts, acme, ticket, attempt=2, score=-0.5, is_in_store=is_in_store)
    )

    stored, insights = (
        await fetch(parts, ticket),
        await support.fetch_insights(parts.database, ticket.id),
    )
    assert (stored.state, stored.sentiment_label) == (TicketState.COMPLETED, "negative")
    assert insights is not None
    assert (insights.attempt, insights.data["attempt"]) == (2, 2)
    assert await read_types(parts) == ENDED * 2


async def test_a_result_says_when_its_analysis_began(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket
) -> None:
    """Also of a ticket whose attempt before was begun earlier and lost."""
    result = await build_result(parts, acme, ticket)
    sign = support.build_event(acme.slug, ticket, support.SIGN)
    long_ago = sign.timestamp - timedelta(hours=1)
    await applier.apply(sign.model_copy(update={"timestamp": long_ago}))
    await applier.apply(result)

    stored = await fetch(parts, ticket)
    assert stored.started_at == result.timestamp - timedelta(seconds=0.25)


async def test_the_first_sign_of_life_shows_that_a_ticket_is_worked_on(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket
) -> None:
    first = support.build_event(acme.slug, ticket, support.SIGN, detail="1")
    later = first.timestamp + timedelta(seconds=2)
    await applier.apply(first)
    stored = await fetch(parts, ticket)
    await applier.apply(first.model_copy(update={"timestamp": later}))

    assert (stored.state, stored.started_at) == (TicketState.PROCESSING, first.timestamp)
    # Pollers of changes are not given a ticket that waits again and again.
    assert await fetch(parts, ticket) == stored


async def test_a_sign_of_life_that_comes_after_the_result_changes_nothing(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket
) -> None:
    """They come by different streams."""
    sign = support.build_event(acme.slug, ticket, support.SIGN)
    await applier.apply(await build_result(parts, acme, ticket))
    before = await fetch(parts, ticket)
    await applier.apply(sign)

    assert await fetch(parts, ticket) == before


async def test_nul_in_the_insights_costs_no_result(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket, is_in_store: bool
) -> None:
    insights = support.build_insights(ticket)
    summary = insights.summary.model_copy(update={"text": "no\0thing"})
    data = insights.model_copy(update={"summary": summary}).model_dump_json().encode()
    result = await support.send_result(
        parts.store, acme.slug, ticket, data=data, is_in_store=is_in_store
    )
    await applier.apply(support.build_result(acme.slug, ticket, result))

    assert (await fetch(parts, ticket)).summary == "nothing"


async def test_the_longest_summary_costs_no_end_and_stands_in_no_event(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket
) -> None:
    insights = support.build_insights(ticket)
    summary = insights.summary.model_copy(update={"text": "refund " * 100_000})
    data = insights.model_copy(update={"summary": summary}).model_dump_json().encode()
    result = await support.send_result(parts.store, acme.slug, ticket, data=data, is_in_store=True)
    await applier.apply(support.build_result(acme.slug, ticket, result))

    analyzed, completed = await rows.read_events(parts.bus)
    assert (analyzed.type, analyzed.data) == ("ticket.analyzed", {"timings": {"analyze": 0.2}})
    assert (completed.type, completed.data) == ("ticket.completed", {})


@pytest.mark.parametrize("data", [support.FAILED, Cancelled(message="Enough.")])
async def test_an_attempt_that_ends_without_a_result_leaves_no_objects(
    applier: TicketApplier, parts: Parts, acme: Tenant, data: Value
) -> None:
    ticket = await support.queue_ticket(parts, acme, texts=support.LARGE_TEXTS)
    [_] = await rows.list_keys(parts)
    ended = support.build_event(acme.slug, ticket, data)
    await applier.apply(ended)
    assert await rows.list_keys(parts) == []
    # The recorder may have died between its commit and the deletion.
    await support.send_result(parts.store, acme.slug, ticket, is_in_store=True)
    await applier.apply(ended)

    assert await rows.list_keys(parts) == []


@pytest.mark.parametrize("data", [None, b"not json"])
async def test_a_late_result_of_an_older_attempt_is_deleted(
    applier: TicketApplier,
    parts: Parts,
    acme: Tenant,
    ticket: tables.Ticket,
    data: bytes | None,
    is_in_store: bool,
) -> None:
    await support.change_ticket(parts.database, ticket.id, attempt=2)
    newer = await support.send_result(
        parts.store, acme.slug, ticket, attempt=2, is_in_store=is_in_store
    )
    kept = await rows.list_keys(parts)
    late = await support.send_result(
        parts.store, acme.slug, ticket, data=data, is_in_store=is_in_store
    )
    before = await fetch(parts, ticket)
    await applier.apply(support.build_result(acme.slug, ticket, late))

    assert await fetch(parts, ticket) == before
    assert await rows.list_keys(parts) == kept
    assert kept == ([newer.insights.object_key] if is_in_store else [])
    assert await read_types(parts) == []


async def test_the_result_of_a_ticket_that_has_ended_otherwise_is_deleted(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket, is_in_store: bool
) -> None:
    await applier.apply(support.build_event(acme.slug, ticket, support.FAILED))
    await applier.apply(await build_result(parts, acme, ticket, is_in_store=is_in_store))

    assert (await fetch(parts, ticket)).state is TicketState.FAILED
    assert await rows.list_keys(parts) == []
    assert await read_types(parts) == []


async def test_the_result_of_a_deleted_ticket_is_deleted(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket, is_in_store: bool
) -> None:
    result = await build_result(parts, acme, ticket, is_in_store=is_in_store)
    async with parts.database.company_session(acme.id) as session:
        await session.delete(await session.get_one(tables.Ticket, ticket.id))
    await applier.apply(result)

    assert await rows.list_keys(parts) == []
    assert await rows.count_rows(parts.database, tables.TicketInsights) == 0
    assert await read_types(parts) == []


async def test_insights_of_another_company_are_not_taken(
    applier: TicketApplier, parts: Parts, acme: Tenant, globex: Tenant, ticket: tables.Ticket
) -> None:
    foreign = await support.send_result(parts.store, globex.slug, ticket, is_in_store=True)
    kept = await rows.list_keys(parts)
    await applier.apply(support.build_result(acme.slug, ticket, foreign))

    assert await read_types(parts) == ["ticket.failed"]
    assert (await fetch(parts, ticket)).state is TicketState.QUEUED
    assert await rows.list_keys(parts) == kept


async def test_objects_of_another_company_are_not_deleted(
    applier: TicketApplier, parts: Parts, acme: Tenant, globex: Tenant, ticket: tables.Ticket
) -> None:
    foreign = await support.send_result(parts.store, globex.slug, ticket, is_in_store=True)
    result = await support.send_result(parts.store, acme.slug, ticket)
    result = result.model_copy(update={"document_key": foreign.insights.object_key})
    await applier.apply(support.build_result(acme.slug, ticket, result))

    assert (await fetch(parts, ticket)).state is TicketState.COMPLETED
    assert await rows.list_keys(parts) == [foreign.insights.object_key]


async def test_only_objects_of_this_attempt_and_older_ones_are_deleted(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket
) -> None:
    keys = []
    for attempt in (1, 2):
        ticket.attempt = attempt
        messages = support.build_messages(support.LARGE_TEXTS)
        document = contents.build_document(ticket, acme.slug, messages)
        await document.put(parts.store)
        keys.append(document.carried.object_key)
    result = await support.send_result(parts.store, acme.slug, ticket, is_in_store=True)
    result = result.model_copy(update={"document_key": keys[0]})
    await applier.apply(support.build_result(acme.slug, ticket, result))

    assert await rows.list_keys(parts) == [keys[1]]


async def test_a_later_attempt_deletes_what_an_earlier_one_left_without_a_result(
    applier: TicketApplier, parts: Parts, acme: Tenant
) -> None:
    """The first one had a large document, and its worker dropped it for the second one."""
    ticket = await support.queue_ticket(parts, acme, texts=support.LARGE_TEXTS)
    await support.change_ticket(parts.database, ticket.id, attempt=2)
    await applier.apply(await build_result(parts, acme, ticket, attempt=2))

    assert await rows.list_keys(parts) == []


async def test_what_a_run_that_was_lost_left_in_the_store_is_deleted_too(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket
) -> None:
    """Insights say how long their analysis took, so those of another run have another key."""
    await parts.store.put_bytes(
        objects.format_ticket_insights_key(acme.slug, support.id_of(ticket), 1, "b" * 64), b"{}"
    )
    await applier.apply(await build_result(parts, acme, ticket, is_in_store=True))

    assert await rows.list_keys(parts) == []


@pytest.mark.parametrize(
    ("data", "is_in_store"),
    [(b"{}", False), (b"not json", False), (b"{}", True), (b"not json", True), (None, True)],
)
async def test_a_broken_result_fails_the_ticket(
    applier: TicketApplier,
    parts: Parts,
    acme: Tenant,
    ticket: tables.Ticket,
    data: bytes | None,
    is_in_store: bool,
) -> None:
    """Without data, the object is missing."""
    result = await support.send_result(
        parts.store, acme.slug, ticket, data=data or b"{}", is_in_store=is_in_store
    )
    if data is None:
        await parts.store.delete(result.insights.object_key or "")
    await applier.apply(support.build_result(acme.slug, ticket, result))
    [failed] = await rows.read_events(parts.bus)
    await applier.apply(failed)

    stored = await fetch(parts, ticket)
    assert (stored.state, stored.error_reason) == (TicketState.FAILED, "OutputWriteFailed")
    assert stored.error_retryable
    assert await rows.list_keys(parts) == []


async def test_other_bytes_than_announced_fail_the_ticket(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket
) -> None:
    result = await support.send_result(parts.store, acme.slug, ticket, is_in_store=True)
    await parts.store.put_bytes(result.insights.object_key or "", b'{"attempt":1}')
    await applier.apply(support.build_result(acme.slug, ticket, result))

    assert await read_types(parts) == ["ticket.failed"]


async def test_nothing_comes_of_a_deleted_ticket(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket, is_in_store: bool
) -> None:
    result = await build_result(parts, acme, ticket, is_in_store=is_in_store)
    async with parts.database.company_session(acme.id) as session:
        await session.delete(await session.get_one(tables.Ticket, ticket.id))
    await applier.apply(support.build_event(acme.slug, ticket, support.SIGN))
    await applier.apply(result)
    await parts.store.delete_prefix(f"{acme.slug}/tickets/{ticket.id}/")
    await applier.apply(result)

    assert await rows.count_rows(parts.database, tables.Ticket) == 0
    assert await read_types(parts) == []


async def test_events_that_name_another_company_change_nothing(
    applier: TicketApplier, parts: Parts, globex: Tenant, ticket: tables.Ticket
) -> None:
    await applier.apply(support.build_event(globex.slug, ticket, support.FAILED))
    await applier.apply(support.build_event(CompanySlug("nobody"), ticket, support.FAILED))

    assert (await fetch(parts, ticket)).state is TicketState.QUEUED


async def test_an_end_takes_the_ticket_out_of_the_outbox(
    applier: TicketApplier, parts: Parts, acme: Tenant
) -> None:
    ticket = await support.queue_ticket(parts, acme)
    await applier.apply(support.build_event(acme.slug, ticket, support.SIGN))
    assert await rows.count_rows(parts.database, tables.OutboxRow) == 1
    await applier.apply(support.build_event(acme.slug, ticket, support.FAILED))

    stored = await fetch(parts, ticket)
    assert (stored.error_code, stored.error_message) == ("internal", "It broke.")
    assert await rows.count_rows(parts.database, tables.OutboxRow) == 0


DATA_OF: dict[EventType, Value] = {
    EventType.WAITING: support.SIGN,
    EventType.FAILED: support.FAILED,
    EventType.CANCELLED: Cancelled(message="Enough."),
}
STATE_AFTER = {
    EventType.WAITING: TicketState.PROCESSING,
    EventType.ANALYZED: TicketState.COMPLETED,
    EventType.FAILED: TicketState.FAILED,
    EventType.CANCELLED: TicketState.CANCELLED,
}


@pytest.mark.parametrize("state", TicketState)
async def test_the_row_accepts_what_the_rules_of_life_accept(
    applier: TicketApplier, parts: Parts, acme: Tenant, state: TicketState
) -> None:
    """The condition of the UPDATE against `contracts.lifecycle`, for each event and attempt. The
    result stands for `analyzed`, and a sign of life shows in the row that the work has begun."""
    for type_ in (*DATA_OF, EventType.ANALYZED):
        for attempt in (1, 2, 3):
            ticket = await support.add_ticket(parts.database, acme.id, state=state, attempt=2)
            data = DATA_OF.get(type_)
            event = (
                support.build_event(acme.slug, ticket, data, attempt=attempt)
                if data is not None
                else await build_result(parts, acme, ticket, attempt=attempt)
            )
            assert applier.is_wanted(event)
            await applier.apply(event)

            stored = await fetch(parts, ticket)
            life = Life(2, end=Step(state) if state.is_terminal else None)
            step = Step.WORKED if type_ is EventType.WAITING else type_.step
            if lifecycle.accepts(life, step, attempt):
                expected = (STATE_AFTER[type_], attempt)
            else:
                expected = (state, 2)
            assert (stored.state, stored.attempt) == expected, (type_, attempt)


@pytest.mark.parametrize(
    "data",
    [
        ticket_events.Queued(messages=2),
        ticket_events.Started(worker="worker-1", messages=2),
        ticket_events.Analyzed(),
        ticket_events.Completed(),
    ],
)
async def test_what_the_recorder_knows_or_says_itself_is_not_recorded(
    applier: TicketApplier, acme: Tenant, ticket: tables.Ticket, data: Value
) -> None:
    assert not applier.is_wanted(support.build_event(acme.slug, ticket, data))


async def test_many_events_at_once_are_written_together_and_none_is_lost(
    applier: TicketApplier, parts: Parts, acme: Tenant, globex: Tenant
) -> None:
    tickets = [
        (company, await support.add_ticket(parts.database, company.id))
        for company in (acme, globex)
        for _ in range(20)
    ]
    events = [
        await build_result(parts, company, ticket, is_in_store=number % 2 == 0)
        for number, (company, ticket) in enumerate(tickets)
    ]
    await asyncio.gather(*map(applier.apply, events))

    for _, ticket in tickets:
        assert (await fetch(parts, ticket)).state is TicketState.COMPLETED
    assert await rows.count_rows(parts.database, tables.TicketInsights) == 40


async def test_one_event_that_cannot_be_written_does_not_keep_the_others_from_it(
    applier: TicketApplier, parts: Parts, acme: Tenant
) -> None:
    tickets = [await support.add_ticket(parts.database, acme.id) for _ in range(6)]
    events = [support.build_event(acme.slug, ticket, support.SIGN) for ticket in tickets]
    events[3] = events[3].model_copy(update={"subject": "no-uuid"})
    results = await asyncio.gather(*map(applier.apply, events), return_exceptions=True)

    assert [type(result) for result in results if result is not None] == [QueryRejected]
    states = [(await fetch(parts, ticket)).state for ticket in tickets]
    assert states.count(TicketState.PROCESSING) == 5


async def test_a_locked_ticket_keeps_no_other_one_from_being_written(
    applier: TicketApplier, parts: Parts, acme: Tenant
) -> None:
    tickets = [await support.add_ticket(parts.database, acme.id) for _ in range(3)]
    events = [support.build_event(acme.slug, ticket, support.SIGN) for ticket in tickets]
    async with parts.database.company_session(acme.id) as session:
        await lock_ticket(session, acme.id, tickets[1].id)
        results = await asyncio.gather(*map(applier.apply, events), return_exceptions=True)
    states = [(await fetch(parts, ticket)).state for ticket in tickets]
    await applier.apply(events[1])

    assert [type(result) for result in results] == [type(None), TicketLocked, type(None)]
    assert states == ["processing", "queued", "processing"]
    assert (await fetch(parts, tickets[1])).state is TicketState.PROCESSING


async def test_an_event_of_an_impossible_time_is_refused(
    applier: TicketApplier, acme: Tenant, ticket: tables.Ticket
) -> None:
    event = support.build_event(acme.slug, ticket, support.SIGN)
    at = datetime.fromisoformat("0001-01-01T00:00:00+14:00")

    with pytest.raises(OverflowError):
        await applier.apply(event.model_copy(update={"timestamp": at}))


async def test_data_that_do_not_fit_are_given_up_and_fail_the_ticket(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket
) -> None:
    result = await build_result(parts, acme, ticket)
    malformed = result.model_copy(update={"data": {}})
    with pytest.raises(MalformedEvent):
        await applier.apply(malformed)
    await applier.give_up(malformed)

    assert await read_types(parts) == ["ticket.failed"]
