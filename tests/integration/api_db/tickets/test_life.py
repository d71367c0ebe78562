"""A ticket from the outbox to its insights, with a worker that is played by the test."""

import pytest
from parlance.api.db import tables
from parlance.api.domain.tickets.dispatching import TicketSender
from parlance.api.domain.tickets.results.applier import TicketApplier
from parlance.api.outbox.relay import Relay
from parlance.contracts.bus import streams
from parlance.contracts.bus import tickets as ticket_events
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.bus.tickets import TicketDispatch
from parlance.contracts.calls import Priority
from parlance.contracts.tickets import TicketState

from tests.integration.api_db import support as rows
from tests.integration.api_db.support import Parts, Tenant
from tests.integration.api_db.tickets import support


@pytest.fixture
def applier(parts: Parts) -> TicketApplier:
    return TicketApplier(parts.database, parts.store, parts.bus, parts.clock)


@pytest.fixture
def relay(parts: Parts) -> Relay:
    return Relay(parts.database, [TicketSender(parts.bus, parts.clock)], parts.clock)


async def test_an_analysis_that_lasts_shows_that_it_has_begun(
    parts: Parts, acme: Tenant, relay: Relay, applier: TicketApplier
) -> None:
    """Of what the bus says of a ticket, the recorder is sent nothing before its sign of life."""
    ticket = await support.queue_ticket(parts, acme)
    await relay.relay_batch(Kind.TICKET, 10)
    started = ticket_events.Started(worker="worker-1", messages=2)
    await parts.bus.publish_event(support.build_event(acme.slug, ticket, started))
    early = await parts.bus.pull_events(streams.TICKET_RECORDER, wait_seconds=0.5)
    sign = support.build_event(acme.slug, ticket, support.SIGN)
    await parts.bus.publish_event(sign)
    [received] = await parts.bus.pull_events(streams.TICKET_RECORDER)
    await applier.apply(received.value)

    stored = await support.fetch_ticket(parts.database, ticket.id)
    assert early == []
    assert (stored.state, stored.started_at) == (TicketState.PROCESSING, sign.timestamp)


@pytest.mark.parametrize(
    ("texts", "is_in_store"), [(support.TEXTS, False), (support.LARGE_TEXTS, True)]
)
async def test_from_the_outbox_to_the_insights(
    parts: Parts,
    acme: Tenant,
    relay: Relay,
    applier: TicketApplier,
    texts: tuple[str, ...],
    is_in_store: bool,
) -> None:
    ticket = await support.queue_ticket(parts, acme, texts=texts)
    assert len(await rows.list_keys(parts)) == is_in_store
    assert await relay.relay_batch(Kind.TICKET, 10) == 1
    [delivery] = await parts.bus.pull_jobs(TicketDispatch, Priority.STANDARD, wait_seconds=5)
    document = await support.read_document(parts.store, delivery.value)
    result = await support.send_result(parts.store, acme.slug, ticket, is_in_store=is_in_store)
    result = result.model_copy(update={"document_key": delivery.value.document.object_key})
    await parts.bus.publish_result(support.build_result(acme.slug, ticket, result))
    [received] = await parts.bus.pull_events(streams.TICKET_RESULTS)
    await applier.apply(received.value)

    stored = await support.fetch_ticket(parts.database, ticket.id)
    insights = await support.fetch_insights(parts.database, ticket.id)
    assert [message.text for message in document.messages] == list(texts)
    assert stored.state is TicketState.COMPLETED
    assert stored.started_at and stored.completed_at
    assert (stored.sentiment_label, stored.detected_language) == ("positive", "en")
    assert (stored.tracker_names, stored.summary) == (["refund"], "A refund.")
    assert stored.timings == {"analyze": 0.2}
    assert insights is not None
    assert (insights.attempt, insights.data["ticket_id"]) == (1, str(ticket.id))
    events = [event.type for event in await rows.read_events(parts.bus)]
    assert events == ["ticket.queued", "ticket.analyzed", "ticket.completed"]
    assert await rows.list_keys(parts) == []
    assert await rows.count_rows(parts.database, tables.OutboxRow) == 0
