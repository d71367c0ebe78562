"""Tickets through a worker of text: NATS, the store and the analysis process, no speech model."""

import hashlib
import pathlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from parlance.contracts import objects
from parlance.contracts.analysis.insights import AnalyzerError, Insights
from parlance.contracts.bus.envelopes import parse_data
from parlance.contracts.bus.tickets import Analyzed, EventType, Failed, TicketDispatch
from parlance.contracts.calls import Role
from parlance.contracts.ids import TicketId, new_uuid7
from parlance.contracts.tickets import Message, TicketDocument

from devstack import http_probe, nats_server, waiting
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


async def submit(
    rig: Rig, ticket_id: TicketId, *, attempt: int = 1, data: bytes | None = None
) -> None:
    """Store the document and dispatch the ticket; without data nothing is stored."""
    document = build_document(ticket_id, attempt).model_dump_json().encode()
    sha256 = hashlib.sha256(document).hexdigest()
    key = objects.format_ticket_document_key(COMPANY, ticket_id, attempt, sha256)
    if data is None or data:
        await rig.store.put_bytes(key, data or document)
    await rig.bus.publish_job(
        TicketDispatch(
            ticket_id=ticket_id,
            company=COMPANY,
            attempt=attempt,
            uid=ticket_id,
            object_key=key,
            sha256=sha256,
            messages=len(TEXTS),
            dispatched_at=datetime.now(UTC),
        )
    )


def new_ticket_id() -> TicketId:
    return TicketId(str(new_uuid7()))


async def read_insights(rig: Rig, ticket_id: TicketId) -> Insights:
    analyzed = parse_data(rig.events.of(ticket_id, EventType.ANALYZED)[-1], Analyzed)
    return await rig.read(analyzed.insights_key, Insights)


async def test_a_ticket_is_analysed_by_a_worker_of_text_alone(rig: Rig) -> None:
    ticket_id = new_ticket_id()
    async with rig.worker("text", PARLANCE_WORKER_LANES="ticket"):
        await submit(rig, ticket_id)
        await rig.wait_for(ticket_id, EventType.ANALYZED, 30)

    insights = await read_insights(rig, ticket_id)
    types = [event.type for event in rig.events.of(ticket_id)]
    assert types == [EventType.STARTED, EventType.ANALYZED]
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
        await submit(rig, ticket_id)
        await rig.wait_for(ticket_id, EventType.ANALYZED, 30)
        is_ready = await http_probe.is_ok(f"{worker.url}/health/ready")

    assert not is_ready


async def test_a_later_attempt_is_analysed_from_its_own_document(rig: Rig) -> None:
    ticket_id = new_ticket_id()
    async with rig.worker("text", PARLANCE_WORKER_LANES="ticket"):
        for attempt in (1, 2):
            await submit(rig, ticket_id, attempt=attempt)
        await waiting.wait_until(
            lambda: any(e.attempt == 2 for e in rig.events.of(ticket_id, EventType.ANALYZED)),
            30,
            "the second attempt is analysed",
        )

    insights = await read_insights(rig, ticket_id)
    assert insights.attempt == 2


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
        await submit(rig, ticket_id, data=data)
        await rig.wait_for(ticket_id, EventType.FAILED, 30)

    failed = parse_data(rig.events.of(ticket_id, EventType.FAILED)[0], Failed)
    assert (failed.reason, failed.code) == (reason, code)
    assert not failed.retryable
