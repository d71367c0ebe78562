"""A run of a ticket: which events it gives, how it ends, and what a later attempt does to it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from parlance.contracts import objects
from parlance.contracts.analysis.insights import Insights, TrackerRules
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.bus.tickets import Analyzed, EventType, Failed, TicketDispatch
from parlance.contracts.calls import Role
from parlance.contracts.ids import CompanySlug, TicketId
from parlance.contracts.tickets import Message, TicketDocument
from parlance.inference.analysis import pipeline
from parlance.inference.analysis.documents import Document
from parlance.inference.analysis.progress import Analysis
from parlance.inference.engine.loop import WorkerLoop
from parlance.inference.engine.runner import Runner
from parlance.inference.texts.kind import TicketKind
from parlance.inference.texts.task import TextTools
from parlance.runtime import store
from parlance.runtime.clock import SystemClock
from parlance.runtime.errors import StoreUnavailable
from parlance.runtime.settings import StoreSettings
from parlance.runtime.store import Store

from tests.unit.inference import fakes
from tests.unit.inference.fakes import FakeBus, FakeDelivery

TICKET_ID = TicketId("0192f0c1-2345-7abc-8def-0123456789ab")
COMPANY = CompanySlug("acme")


class Analyst:
    """Remembers what it was given; waits where a test holds it up."""

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self.deadline_seconds = 0.0
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def analyze(
        self, document: Document, rules: TrackerRules | None, /, *, deadline_seconds: float
    ) -> Analysis:
        self.documents.append(document)
        self.deadline_seconds = deadline_seconds
        await self.is_open.wait()
        return Analysis((), {})


@pytest.fixture
async def objects_store(tmp_path: Path) -> AsyncIterator[Store]:
    async with store.open_store(StoreSettings(store_url=tmp_path.as_uri())) as opened:
        yield opened


@pytest.fixture
def analyst() -> Analyst:
    return Analyst()


@pytest.fixture
def tools(objects_store: Store, analyst: Analyst) -> TextTools:
    async def fetch_rules(company: CompanySlug) -> TrackerRules | None:
        return TrackerRules()

    return TextTools("worker-a", objects_store, fetch_rules, analyst.analyze)


async def put_document(objects_store: Store, attempt: int = 1) -> TicketDispatch:
    """Store a document and build its dispatch."""
    message = Message(index=0, role=Role.CUSTOMER, text=f"Attempt {attempt}.")
    document = TicketDocument(ticket_id=TICKET_ID, attempt=attempt, messages=(message,))
    data = document.model_dump_json().encode()
    sha256 = hashlib.sha256(data).hexdigest()
    key = objects.format_ticket_document_key(COMPANY, TICKET_ID, attempt, sha256)
    await objects_store.put_bytes(key, data)
    return TicketDispatch(
        ticket_id=TICKET_ID,
        company=COMPANY,
        attempt=attempt,
        uid=TICKET_ID,
        object_key=key,
        sha256=sha256,
        messages=1,
        dispatched_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def build_runner(
    bus: FakeBus, tools: TextTools, delivery: FakeDelivery[TicketDispatch]
) -> Runner[TicketDispatch]:
    return Runner(bus, TicketKind(tools), SystemClock(), fakes.build_patience(), delivery)


async def test_a_ticket_is_begun_analysed_and_acked(objects_store: Store, tools: TextTools) -> None:
    bus, dispatch = FakeBus(), await put_document(objects_store)
    delivery = FakeDelivery(dispatch)

    await build_runner(bus, tools, delivery).run()

    analyzed = Analyzed.model_validate(bus.find(EventType.ANALYZED).data)
    data = await objects_store.get_bytes(analyzed.insights_key)
    insights = Insights.model_validate_json(data)
    assert bus.types == [EventType.STARTED, EventType.ANALYZED]
    assert delivery.answers == ["ack"]
    assert hashlib.sha256(data).hexdigest() == analyzed.insights_sha256
    assert (insights.ticket_id, insights.attempt) == (TICKET_ID, 1)
    assert set(analyzed.timings) == {"read", "insights", "store", "total"}


async def test_a_ticket_may_not_hold_up_the_others_for_as_long_as_a_call(
    objects_store: Store, tools: TextTools, analyst: Analyst
) -> None:
    bus = FakeBus()
    dispatch = await put_document(objects_store)

    await build_runner(bus, tools, FakeDelivery(dispatch)).run()

    assert analyst.deadline_seconds == 20.0 < pipeline.DEADLINE_SECONDS


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"object_key": "acme/tickets/x/gone.json"}, "input_not_found"),
        ({"object_key": "other/tickets/x/document.json"}, "input_not_found"),
        ({"sha256": "0" * 64}, "validation_failed"),
    ],
)
async def test_a_document_that_cannot_be_used_fails_for_good(
    objects_store: Store, tools: TextTools, changes: dict[str, str], code: str
) -> None:
    dispatch = (await put_document(objects_store)).model_copy(update=changes)
    bus, delivery = FakeBus(), FakeDelivery(dispatch)

    await build_runner(bus, tools, delivery).run()

    assert Failed.model_validate(bus.find(EventType.FAILED).data).code == code
    assert delivery.answers == ["term"]


async def test_what_is_done_already_is_not_failed_when_its_document_is_gone(
    objects_store: Store, tools: TextTools
) -> None:
    bus, dispatch = FakeBus(), await put_document(objects_store)
    await build_runner(bus, tools, FakeDelivery(dispatch)).run()
    await objects_store.delete(dispatch.object_key)
    again = FakeDelivery(dispatch, sequence=2)

    await build_runner(bus, tools, again).run()

    assert bus.types == [EventType.STARTED, EventType.ANALYZED]
    assert again.answers == ["ack"]


async def test_while_the_store_is_away_it_is_handed_back_with_its_reason(
    objects_store: Store, tools: TextTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(key: str) -> bytes:
        raise StoreUnavailable("get")

    bus, delivery = FakeBus(), FakeDelivery(await put_document(objects_store))
    monkeypatch.setattr(objects_store, "get_bytes", fail)

    await build_runner(bus, tools, delivery).run()

    assert bus.find(EventType.RETRYING).data["reason"] == "WaitingForStore"
    assert delivery.answers == ["nak 5"]


async def test_a_later_attempt_takes_the_place_of_one_that_runs(
    objects_store: Store, tools: TextTools, analyst: Analyst
) -> None:
    """Its content is another one: going on with the old one under its name would be wrong."""
    bus = FakeBus()
    analyst.is_open.clear()
    loop = WorkerLoop(bus, [TicketKind(tools)], SystemClock(), fakes.build_patience(60), slots=4)
    stopping = asyncio.Event()
    running = asyncio.create_task(loop.run(stopping, drain_seconds=0))
    old = bus.deliver(await put_document(objects_store, 1), sequence=1)
    async with asyncio.timeout(5):
        while not analyst.documents:
            await asyncio.sleep(0.002)
    new = bus.deliver(await put_document(objects_store, 2), sequence=2)
    async with asyncio.timeout(5):
        while len(analyst.documents) < 2:
            await asyncio.sleep(0.002)
    analyst.is_open.set()
    async with asyncio.timeout(5):
        while not new.answers:
            await asyncio.sleep(0.002)
    stopping.set()
    await running

    attempts = [(event.type, event.attempt) for event in bus.events]
    assert attempts[-1] == (EventType.ANALYZED, 2)
    assert (EventType.ANALYZED, 1) not in attempts
    assert analyst.documents[-1].units[0].text == "Attempt 2."
    assert (old.answers, new.answers) == (["ack"], ["ack"])


async def put_other_document(objects_store: Store, ticket_id: TicketId) -> TicketDispatch:
    dispatch = await put_document(objects_store)
    return dispatch.model_copy(update={"ticket_id": ticket_id, "uid": ticket_id})


async def test_several_tickets_come_with_one_question(
    objects_store: Store, tools: TextTools
) -> None:
    bus = FakeBus()
    for number in range(8):
        ticket_id = TicketId(f"0192f0c1-2345-7abc-8def-00000000000{number}")
        bus.deliver(await put_other_document(objects_store, ticket_id), sequence=number + 1)
    loop = WorkerLoop(bus, [TicketKind(tools)], SystemClock(), fakes.build_patience(60), slots=10)
    stopping = asyncio.Event()
    running = asyncio.create_task(loop.run(stopping, drain_seconds=5))
    async with asyncio.timeout(5):
        while bus.types.count(EventType.ANALYZED) < 8:
            await asyncio.sleep(0.002)
    stopping.set()
    await running

    assert len(bus.pulled) == 1


async def test_a_ticket_that_was_cancelled_before_it_came_is_not_begun(
    objects_store: Store, tools: TextTools, analyst: Analyst
) -> None:
    bus = FakeBus()
    loop = WorkerLoop(bus, [TicketKind(tools)], SystemClock(), fakes.build_patience(60), slots=4)
    stopping = asyncio.Event()
    running = asyncio.create_task(loop.run(stopping, drain_seconds=5))
    bus.leave_note(TICKET_ID, ControlAction.CANCEL)
    await asyncio.sleep(0.05)
    delivery = bus.deliver(await put_document(objects_store))
    async with asyncio.timeout(5):
        while not delivery.answers:
            await asyncio.sleep(0.002)
    stopping.set()
    await running

    assert bus.types == [EventType.CANCELLED]
    assert (delivery.answers, analyst.documents) == (["ack"], [])
