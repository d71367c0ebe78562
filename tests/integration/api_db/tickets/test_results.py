"""What the recorder writes about tickets, on real Postgres, NATS and store: each result once, one
end per attempt, nothing of an older attempt."""

import asyncio
from datetime import datetime

import pytest
from parlance.api.db import tables
from parlance.api.db.errors import QueryRejected
from parlance.api.domain.results.events import MalformedEvent
from parlance.api.domain.tickets import contents
from parlance.api.domain.tickets.locking import lock_ticket
from parlance.api.domain.tickets.results.applier import TicketApplier
from parlance.api.domain.tickets.results.writer import TicketLocked
from parlance.contracts import lifecycle
from parlance.contracts.bus import tickets as ticket_events
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.kinds import Cancelled
from parlance.contracts.bus.tickets import EventType
from parlance.contracts.ids import CompanySlug
from parlance.contracts.lifecycle import Life, Step
from parlance.contracts.tickets import TicketState
from parlance.contracts.values import Value

from tests.integration.api_db import support as rows
from tests.integration.api_db.support import Parts, Tenant
from tests.integration.api_db.tickets import support


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


async def build_analyzed(
    parts: Parts, company: Tenant, ticket: tables.Ticket, *, attempt: int = 1, score: float = 0.5
) -> Envelope:
    data = await support.put_result(parts.store, company.slug, ticket, attempt=attempt, score=score)
    return support.build_event(company.slug, ticket, data, attempt=attempt)


async def test_the_same_result_again_is_stored_once_and_said_once(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket
) -> None:
    analyzed = await build_analyzed(parts, acme, ticket)
    await applier.apply(analyzed)
    first = await fetch(parts, ticket)
    await applier.apply(analyzed)

    assert await fetch(parts, ticket) == first
    assert await read_types(parts) == ["ticket.completed"]
    assert await rows.count_rows(parts.database, tables.TicketInsights) == 1


async def test_a_recorder_that_died_after_its_commit_leaves_no_ticket_without_an_end(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket
) -> None:
    analyzed = await build_analyzed(parts, acme, ticket)
    await support.change_ticket(parts.database, ticket.id, state=TicketState.COMPLETED)
    await applier.apply(analyzed)

    assert await read_types(parts) == ["ticket.completed"]
    assert await rows.list_keys(parts) == []


async def test_the_next_result_replaces_the_last_one(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket
) -> None:
    await applier.apply(await build_analyzed(parts, acme, ticket))
    await support.change_ticket(
        parts.database, ticket.id, state=TicketState.QUEUED, attempt=2, completed_at=None
    )
    await applier.apply(await build_analyzed(parts, acme, ticket, attempt=2, score=-0.5))

    stored, insights = (
        await fetch(parts, ticket),
        await support.fetch_insights(parts.database, ticket.id),
    )
    assert (stored.state, stored.sentiment_label) == (TicketState.COMPLETED, "negative")
    assert insights is not None
    assert (insights.attempt, insights.data["attempt"]) == (2, 2)
    assert await read_types(parts) == ["ticket.completed"] * 2


async def test_nul_in_the_insights_costs_no_result(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket
) -> None:
    insights = support.build_insights(ticket)
    summary = insights.summary.model_copy(update={"text": "no\0thing"})
    data = insights.model_copy(update={"summary": summary}).model_dump_json().encode()
    analyzed = await support.put_result(parts.store, acme.slug, ticket, data=data)
    await applier.apply(support.build_event(acme.slug, ticket, analyzed))

    assert (await fetch(parts, ticket)).summary == "nothing"


async def test_the_longest_summary_costs_no_end_and_stands_in_no_event(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket
) -> None:
    insights = support.build_insights(ticket)
    summary = insights.summary.model_copy(update={"text": "refund " * 100_000})
    data = insights.model_copy(update={"summary": summary}).model_dump_json().encode()
    analyzed = await support.put_result(parts.store, acme.slug, ticket, data=data)
    await applier.apply(support.build_event(acme.slug, ticket, analyzed))

    [completed] = await rows.read_events(parts.bus)
    assert completed.type == "ticket.completed"
    assert completed.data == {"insights_sha256": analyzed.insights_sha256}


@pytest.mark.parametrize("data", [support.FAILED, Cancelled(message="Enough.")])
async def test_an_attempt_that_ends_without_a_result_leaves_no_objects(
    applier: TicketApplier, parts: Parts, acme: Tenant, data: Value
) -> None:
    ticket = await support.queue_ticket(parts, acme)
    ended = support.build_event(acme.slug, ticket, data)
    await applier.apply(ended)
    assert await rows.list_keys(parts) == []
    # The recorder may have died between its commit and the deletion.
    await support.put_result(parts.store, acme.slug, ticket)
    await applier.apply(ended)

    assert await rows.list_keys(parts) == []


@pytest.mark.parametrize("data", [None, b"not json"])
async def test_a_late_result_of_an_older_attempt_is_deleted(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket, data: bytes | None
) -> None:
    await support.change_ticket(parts.database, ticket.id, attempt=2)
    newer = await support.put_result(parts.store, acme.slug, ticket, attempt=2)
    late = await support.put_result(parts.store, acme.slug, ticket, data=data)
    await applier.apply(support.build_event(acme.slug, ticket, late))

    assert await rows.list_keys(parts) == [newer.insights_key]
    assert await read_types(parts) == []


async def test_the_result_of_a_deleted_ticket_is_deleted(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket
) -> None:
    analyzed = await build_analyzed(parts, acme, ticket)
    async with parts.database.company_session(acme.id) as session:
        await session.delete(await session.get_one(tables.Ticket, ticket.id))
    await applier.apply(analyzed)

    assert await rows.list_keys(parts) == []


async def test_insights_of_another_company_are_not_taken(
    applier: TicketApplier, parts: Parts, acme: Tenant, globex: Tenant, ticket: tables.Ticket
) -> None:
    foreign = await support.put_result(parts.store, globex.slug, ticket)
    await applier.apply(support.build_event(acme.slug, ticket, foreign))

    assert await read_types(parts) == ["ticket.failed"]
    assert (await fetch(parts, ticket)).state is TicketState.QUEUED


async def test_only_objects_of_this_attempt_and_older_ones_are_deleted(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket
) -> None:
    documents = []
    for attempt in (1, 2):
        ticket.attempt = attempt
        document = contents.build_document(ticket, acme.slug, [])
        await parts.store.put_bytes(document.key, document.data)
        documents.append(document)
    await applier.apply(await build_analyzed(parts, acme, ticket))

    assert await rows.list_keys(parts) == [documents[1].key]


@pytest.mark.parametrize("data", [b"{}", b"not json", None])
async def test_a_broken_result_fails_the_ticket(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket, data: bytes | None
) -> None:
    analyzed = await support.put_result(parts.store, acme.slug, ticket, data=data or b"{}")
    if data is None:
        await parts.store.delete(analyzed.insights_key)
    await applier.apply(support.build_event(acme.slug, ticket, analyzed))
    [failed] = await rows.read_events(parts.bus)
    await applier.apply(failed)

    stored = await fetch(parts, ticket)
    assert (stored.state, stored.error_reason) == (TicketState.FAILED, "OutputWriteFailed")
    assert stored.error_retryable


async def test_other_bytes_than_announced_fail_the_ticket(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket
) -> None:
    analyzed = await support.put_result(parts.store, acme.slug, ticket)
    await parts.store.put_bytes(analyzed.insights_key, b'{"attempt":1}')
    await applier.apply(support.build_event(acme.slug, ticket, analyzed))

    assert await read_types(parts) == ["ticket.failed"]


async def test_nothing_comes_of_a_deleted_ticket(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket
) -> None:
    analyzed = await build_analyzed(parts, acme, ticket)
    async with parts.database.company_session(acme.id) as session:
        await session.delete(await session.get_one(tables.Ticket, ticket.id))
    await applier.apply(support.build_event(acme.slug, ticket, support.STARTED))
    await applier.apply(analyzed)
    await parts.store.delete_prefix(f"{acme.slug}/tickets/{ticket.id}/")
    await applier.apply(analyzed)

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
    await applier.apply(support.build_event(acme.slug, ticket, support.STARTED))
    assert await rows.count_rows(parts.database, tables.OutboxRow) == 1
    await applier.apply(support.build_event(acme.slug, ticket, support.FAILED))

    stored = await fetch(parts, ticket)
    assert (stored.error_code, stored.error_message) == ("internal", "It broke.")
    assert await rows.count_rows(parts.database, tables.OutboxRow) == 0


DATA_OF: dict[EventType, Value] = {
    EventType.QUEUED: ticket_events.Queued(messages=2),
    EventType.STARTED: support.STARTED,
    EventType.FAILED: support.FAILED,
    EventType.CANCELLED: Cancelled(message="Enough."),
}
STATE_AFTER = {
    EventType.STARTED: TicketState.PROCESSING,
    EventType.ANALYZED: TicketState.COMPLETED,
    EventType.FAILED: TicketState.FAILED,
    EventType.CANCELLED: TicketState.CANCELLED,
}


@pytest.mark.parametrize("state", TicketState)
async def test_the_row_accepts_what_the_rules_of_life_accept(
    applier: TicketApplier, parts: Parts, acme: Tenant, state: TicketState
) -> None:
    """The condition of the UPDATE against `contracts.lifecycle`, for each event and attempt."""
    for type_ in (*DATA_OF, EventType.ANALYZED):
        for attempt in (1, 2, 3):
            ticket = await support.add_ticket(parts.database, acme.id, state=state, attempt=2)
            data = DATA_OF.get(type_)
            event = (
                support.build_event(acme.slug, ticket, data, attempt=attempt)
                if data is not None
                else await build_analyzed(parts, acme, ticket, attempt=attempt)
            )
            await applier.apply(event)

            stored = await fetch(parts, ticket)
            life = Life(2, end=Step(state) if state.is_terminal else None)
            if type_ is EventType.QUEUED:  # what is said of an older attempt is no news
                expected = (state, 2)
                assert (stored.queued_at is not None) == (life.end is None and attempt >= 2)
            elif lifecycle.accepts(life, type_.step, attempt):
                expected = (STATE_AFTER[type_], attempt)
            else:
                expected = (state, 2)
            assert (stored.state, stored.attempt) == expected, (type_, attempt)


async def test_many_events_at_once_are_written_together_and_none_is_lost(
    applier: TicketApplier, parts: Parts, acme: Tenant, globex: Tenant
) -> None:
    tickets = [
        (company, await support.add_ticket(parts.database, company.id))
        for company in (acme, globex)
        for _ in range(20)
    ]
    events = [await build_analyzed(parts, company, ticket) for company, ticket in tickets]
    await asyncio.gather(*map(applier.apply, events))

    for _, ticket in tickets:
        assert (await fetch(parts, ticket)).state is TicketState.COMPLETED
    assert await rows.count_rows(parts.database, tables.TicketInsights) == 40


async def test_one_event_that_cannot_be_written_does_not_keep_the_others_from_it(
    applier: TicketApplier, parts: Parts, acme: Tenant
) -> None:
    tickets = [await support.add_ticket(parts.database, acme.id) for _ in range(6)]
    events = [support.build_event(acme.slug, ticket, support.STARTED) for ticket in tickets]
    events[3] = events[3].model_copy(update={"subject": "no-uuid"})
    results = await asyncio.gather(*map(applier.apply, events), return_exceptions=True)

    assert [type(result) for result in results if result is not None] == [QueryRejected]
    states = [(await fetch(parts, ticket)).state for ticket in tickets]
    assert states.count(TicketState.PROCESSING) == 5


async def test_a_locked_ticket_keeps_no_other_one_from_being_written(
    applier: TicketApplier, parts: Parts, acme: Tenant
) -> None:
    tickets = [await support.add_ticket(parts.database, acme.id) for _ in range(3)]
    events = [support.build_event(acme.slug, ticket, support.STARTED) for ticket in tickets]
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
    event = support.build_event(acme.slug, ticket, support.STARTED)
    at = datetime.fromisoformat("0001-01-01T00:00:00+14:00")

    with pytest.raises(OverflowError):
        await applier.apply(event.model_copy(update={"timestamp": at}))


async def test_data_that_do_not_fit_are_given_up_and_fail_the_ticket(
    applier: TicketApplier, parts: Parts, acme: Tenant, ticket: tables.Ticket
) -> None:
    analyzed = await build_analyzed(parts, acme, ticket)
    malformed = analyzed.model_copy(update={"data": {}})
    with pytest.raises(MalformedEvent):
        await applier.apply(malformed)
    await applier.give_up(malformed)

    assert await read_types(parts) == ["ticket.failed"]
