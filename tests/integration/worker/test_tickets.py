"""Tickets through a worker of text: NATS, the store and the analysis process, no speech model. What
is too large for a message goes through the store."""

import hashlib
import pathlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from parlance.contracts import objects
from parlance.contracts.analysis.insights import AnalyzerError, Insights
from parlance.contracts.bus.envelopes import parse_data
from parlance.contracts.bus.tickets import Carried, EventType, Failed, Result, TicketDispatch
from parlance.contracts.calls import Role
from parlance.contracts.ids import TicketId, new_uuid7
from parlance.contracts.tickets import Message, TicketDocument

from devstack import http_probe, nats_server
from tests.integration.worker import rig as rigs
from tests.integration.worker.rig import COMPANY, Rig

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
TEXTS = (
    (Role.CUSTOMER, "Where is my refund? I am very angry about this delay."),
    (Role.AGENT, "I am sorry. The refund was sent on Monday, and it arrives within a week."),
    (Role.CUSTOMER, "Great, thank you. My address is ada@example.com."),
)


@pytest.fixture
async def rig(nats: nats_server.NatsServer, tmp_path: pathlib.Path) -> AsyncIterator[Rig]:
    """Without a model server: nothing answers there."""
    async with rigs.open_rig(nats, None, tmp_path) as opened:
        yield opened


def build_document(ticket_id: TicketId, attempt: int = 1) -> TicketDocument:
    return TicketDocument(
        ticket_id=ticket_id,
        attempt=attempt,
        messages=tuple(
            Message(index=n, role=role, text=text, created_at=START + timedelta(minutes=5 * n))
            for n, (role, text) in enumerate(TEXTS)
        ),
    )


async def put(rig: Rig, document: TicketDocument, data: bytes | None = None) -> Carried:
    """Store the document, or other data in its place; without data nothing is stored."""
    encoded = document.model_dump_json().encode()
    sha256 = hashlib.sha256(encoded).hexdigest()
    ticket_id = TicketId(document.ticket_id)
    key = objects.format_ticket_document_key(COMPANY, ticket_id, document.attempt, sha256)
    if data is None or data:
        await rig.store.put_bytes(key, data or encoded)
    return Carried(object_key=key, sha256=sha256)


def carry(document: TicketDocument) -> Carried:
    return Carried(content=document.model_dump_json())


async def submit(rig: Rig, ticket_id: TicketId, document: Carried, *, attempt: int = 1) -> None:
    await rig.bus.publish_job(
        TicketDispatch(
            ticket_id=ticket_id,
            company=COMPANY,
            attempt=attempt,
            uid=ticket_id,
            document=document,
            messages=len(TEXTS),
            dispatched_at=datetime.now(UTC),
        )
    )


def new_ticket_id() -> TicketId:
    return TicketId(str(new_uuid7()))


async def read_insights(rig: Rig, result: Result) -> Insights:
    carried = result.insights
    if carried.object_key is not None:
        return await rig.read(carried.object_key, Insights)
    return Insights.model_validate_json(carried.content or "")


@pytest.mark.parametrize("is_in_store", [False, True])
async def test_a_ticket_is_analysed_by_a_worker_of_text_alone(rig: Rig, is_in_store: bool) -> None:
    ticket_id = new_ticket_id()
    document = build_document(ticket_id)
    async with rig.worker("text", PARLANCE_WORKER_LANES="ticket"):
        carried = await put(rig, document) if is_in_store else carry(document)
        await submit(rig, ticket_id, carried)
        result = await rig.take_ticket_result(ticket_id)

    insights = await read_insights(rig, result)
    types = [event.type for event in rig.events.of(ticket_id)]
    assert types == [EventType.STARTED]
    assert (result.document_key, result.insights.object_key) == (carried.object_key, None)
    assert (insights.ticket_id, insights.call_id, insights.attempt) == (ticket_id, None, 1)
    assert insights.summary is not None
    assert insights.language is not None
    assert insights.language.code == "en"
    assert insights.conversation is not None
    assert insights.conversation.first_response_seconds == 300
    assert insights.pii is not None
    assert insights.pii.counts == {"email": 1}
    failed = {run.name: run.error_code for run in insights.analyzers if not run.ok}
    assert failed == {"metrics": AnalyzerError.NEEDS_VOICE}


async def test_tickets_do_not_wait_for_a_speech_model_that_is_away(rig: Rig) -> None:
    """A worker of both kinds is not ready without the model, and does its tickets all the same."""
    ticket_id = new_ticket_id()
    async with rig.worker("both", awaits="live", PARLANCE_TRITON_URL="127.0.0.1:1") as worker:
        await submit(rig, ticket_id, carry(build_document(ticket_id)))
        await rig.take_ticket_result(ticket_id)
        is_ready = await http_probe.is_ok(f"{worker.url}/health/ready")

    assert not is_ready


async def test_a_later_attempt_is_analysed_from_its_own_document(rig: Rig) -> None:
    ticket_id = new_ticket_id()
    async with rig.worker("text", PARLANCE_WORKER_LANES="ticket"):
        for attempt in (1, 2):
            document = await put(rig, build_document(ticket_id, attempt))
            await submit(rig, ticket_id, document, attempt=attempt)
        result = await rig.take_ticket_result(ticket_id, attempt=2)

    insights = await read_insights(rig, result)
    assert insights.attempt == 2


async def test_a_large_conversation_and_its_insights_go_through_the_store(rig: Rig) -> None:
    ticket_id = new_ticket_id()
    small = build_document(ticket_id)
    messages = [
        each.model_copy(update={"index": number})
        for number, each in enumerate(small.messages * 100)
    ]
    document = small.model_copy(update={"messages": tuple(messages)})
    async with rig.worker("text", PARLANCE_WORKER_LANES="ticket"):
        carried = await put(rig, document)
        await submit(rig, ticket_id, carried)
        result = await rig.take_ticket_result(ticket_id)

    keys = {stored.key async for stored in rig.store.list("")}
    insights = await read_insights(rig, result)
    assert {result.document_key, result.insights.object_key} == keys
    assert len(keys) == 2
    assert len(insights.segment_sentiments) == len(messages)


@pytest.mark.parametrize(
    ("data", "reason", "code"),
    [
        (b"", "InputNotFound", "input_not_found"),
        (b"{}", "InvalidInput", "validation_failed"),
    ],
)
async def test_a_document_that_is_missing_or_another_fails_with_its_reason(
    rig: Rig, data: bytes, reason: str, code: str
) -> None:
    ticket_id = new_ticket_id()
    async with rig.worker("text", PARLANCE_WORKER_LANES="ticket"):
        await submit(rig, ticket_id, await put(rig, build_document(ticket_id), data))
        await rig.wait_for(ticket_id, EventType.FAILED, 30)

    failed = parse_data(rig.events.of(ticket_id, EventType.FAILED)[0], Failed)
    assert (failed.reason, failed.code) == (reason, code)
    assert not failed.retryable
