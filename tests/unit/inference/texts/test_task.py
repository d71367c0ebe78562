"""A run of a ticket: which events and result it gives, how it ends, what a later attempt does to
it. Documents and insights that are too large for a message lie in the store."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from parlance.contracts import objects
from parlance.contracts.analysis.insights import Insights, Summary, TrackerRules
from parlance.contracts.bus import tickets as ticket_events
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.bus.tickets import (
    CARRIED_BYTES,
    RESULT_TYPE,
    Carried,
    EventType,
    Failed,
    Result,
    TicketDispatch,
)
from parlance.contracts.calls import Role
from parlance.contracts.ids import CompanySlug, TicketId
from parlance.contracts.tickets import Message, TicketDocument
from parlance.inference.analysis import pipeline
from parlance.inference.analysis.documents import Document
from parlance.inference.analysis.progress import Analysis
from parlance.inference.engine.loop import WorkerLoop
from parlance.inference.engine.runner import Runner
from parlance.inference.engine.signs import QUIET_SECONDS
from parlance.inference.texts.kind import TicketKind
from parlance.inference.texts.task import TextTools
from parlance.runtime import store
from parlance.runtime.clock import SystemClock
from parlance.runtime.errors import BusUnavailable, StoreUnavailable
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
        self.fields: dict[str, object] = {}
        """Of the insights that it finds."""
        self.is_open = asyncio.Event()
        self.is_open.set()

    async def analyze(
        self, document: Document, rules: TrackerRules | None, /, *, deadline_seconds: float
    ) -> Analysis:
        self.documents.append(document)
        self.deadline_seconds = deadline_seconds
        await self.is_open.wait()
        return Analysis((), dict(self.fields))


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


@pytest.fixture(params=[False, True], ids=["carried", "in the store"])
def is_in_store(request: pytest.FixtureRequest) -> bool:
    """The tests that take it are about documents on both ways."""
    return bool(request.param)


def build_document(attempt: int = 1, *, filler: str = "") -> bytes:
    """`filler` makes it longer."""
    message = Message(index=0, role=Role.CUSTOMER, text=f"Attempt {attempt}.{filler}")
    document = TicketDocument(ticket_id=TICKET_ID, attempt=attempt, messages=(message,))
    return document.model_dump_json().encode()


def build_dispatch(document: Carried, attempt: int = 1) -> TicketDispatch:
    return TicketDispatch(
        ticket_id=TICKET_ID,
        company=COMPANY,
        attempt=attempt,
        uid=TICKET_ID,
        document=document,
        messages=1,
        dispatched_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def carry_document(attempt: int = 1) -> TicketDispatch:
    """A dispatch that carries its document."""
    return build_dispatch(Carried(content=build_document(attempt).decode()), attempt)


async def put_document(objects_store: Store, attempt: int = 1) -> TicketDispatch:
    """Store a document and build the dispatch that names it."""
    data = build_document(attempt)
    sha256 = hashlib.sha256(data).hexdigest()
    key = objects.format_ticket_document_key(COMPANY, TICKET_ID, attempt, sha256)
    await objects_store.put_bytes(key, data)
    return build_dispatch(Carried(object_key=key, sha256=sha256), attempt)


async def prepare(objects_store: Store, attempt: int = 1, *, is_in_store: bool) -> TicketDispatch:
    if is_in_store:
        return await put_document(objects_store, attempt)
    return carry_document(attempt)


async def list_keys(objects_store: Store) -> list[str]:
    return [stored.key async for stored in objects_store.list("")]


def read_result(bus: FakeBus) -> Result:
    """The only one."""
    [envelope] = bus.results
    return Result.model_validate(envelope.data)


def build_runner(
    bus: FakeBus,
    tools: TextTools,
    delivery: FakeDelivery[TicketDispatch],
    *,
    patience_seconds: float = 0.0,
) -> Runner[TicketDispatch]:
    patience = fakes.build_patience(patience_seconds)
    return Runner(bus, TicketKind(tools), SystemClock(), patience, delivery)


async def test_a_ticket_is_begun_analysed_handed_over_and_acked(
    objects_store: Store, tools: TextTools, is_in_store: bool
) -> None:
    bus, dispatch = FakeBus(), await prepare(objects_store, is_in_store=is_in_store)
    delivery = FakeDelivery(dispatch, log=bus.log)

    await build_runner(bus, tools, delivery).run()

    result = read_result(bus)
    insights = Insights.model_validate_json(result.insights.content or "")
    assert bus.log == [EventType.STARTED, RESULT_TYPE, "ack unconfirmed"]
    assert (insights.ticket_id, insights.attempt) == (TICKET_ID, 1)
    assert result.document_key == dispatch.document.object_key
    assert set(result.timings) == {"read", "insights", "store", "total"}
    assert result.seconds == pytest.approx(result.timings["total"], abs=1e-3)


async def test_the_envelope_of_a_result_says_whose_it_is(
    objects_store: Store, tools: TextTools
) -> None:
    bus = FakeBus()
    await build_runner(bus, tools, FakeDelivery(carry_document(attempt=3))).run()

    [envelope] = bus.results
    assert (envelope.company, envelope.subject, envelope.attempt) == (COMPANY, TICKET_ID, 3)
    assert envelope.id == f"{TICKET_ID}.3.result"


async def find_filler(tools: TextTools, analyst: Analyst, size_bytes: int) -> int:
    """The length of a summary that makes the insights so large."""
    bus = FakeBus()
    analyst.fields = {"summary": Summary(text="", sentences=())}
    await build_runner(bus, tools, FakeDelivery(carry_document())).run()
    return size_bytes - len(read_result(bus).insights.content or "")


@pytest.mark.parametrize("excess_bytes", [0, 1])
async def test_insights_above_the_bound_go_through_the_store(
    objects_store: Store, tools: TextTools, analyst: Analyst, excess_bytes: int
) -> None:
    length = await find_filler(tools, analyst, CARRIED_BYTES + excess_bytes)
    analyst.fields = {"summary": Summary(text="x" * length, sentences=())}
    bus = FakeBus()

    await build_runner(bus, tools, FakeDelivery(carry_document())).run()

    carried, keys = read_result(bus).insights, await list_keys(objects_store)
    if excess_bytes:
        assert carried.object_key is not None
        data = await objects_store.get_bytes(carried.object_key)
        assert hashlib.sha256(data).hexdigest() == carried.sha256
        assert keys == [carried.object_key]
    else:
        data = (carried.content or "").encode()
        assert keys == []
    assert len(data) == CARRIED_BYTES + excess_bytes
    summary = Insights.model_validate_json(data).summary
    assert summary is not None
    assert summary.text == "x" * length


async def test_a_ticket_may_not_hold_up_the_others_for_as_long_as_a_call(
    tools: TextTools, analyst: Analyst
) -> None:
    await build_runner(FakeBus(), tools, FakeDelivery(carry_document())).run()

    assert analyst.deadline_seconds == 20.0 < pipeline.DEADLINE_SECONDS


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"object_key": "acme/tickets/x/gone.json"}, "input_not_found"),
        ({"object_key": "other/tickets/x/document.json"}, "input_not_found"),
        ({"sha256": "0" * 64}, "validation_failed"),
        ({"object_key": None, "sha256": None, "content": "{}"}, "validation_failed"),
        ({"object_key": None, "sha256": None, "content": "no json"}, "validation_failed"),
    ],
)
async def test_a_document_that_cannot_be_used_fails_for_good(
    objects_store: Store, tools: TextTools, changes: dict[str, str | None], code: str
) -> None:
    stored = await put_document(objects_store)
    dispatch = build_dispatch(stored.document.model_copy(update=changes))
    bus, delivery = FakeBus(), FakeDelivery(dispatch)

    await build_runner(bus, tools, delivery).run()

    assert Failed.model_validate(bus.find(EventType.FAILED).data).code == code
    assert delivery.answers == ["term"]


async def test_what_is_done_already_is_not_failed_when_its_document_is_gone(
    objects_store: Store, tools: TextTools
) -> None:
    bus, dispatch = FakeBus(), await put_document(objects_store)
    await build_runner(bus, tools, FakeDelivery(dispatch)).run()
    await objects_store.delete(dispatch.document.object_key or "")
    await bus.publish_event(  # the recorder has stored the result
        ticket_events.EVENTS.build_event(
            ticket_events.Completed(), company=COMPANY, subject=TICKET_ID, attempt=1
        )
    )
    again = FakeDelivery(dispatch, sequence=2)

    await build_runner(bus, tools, again).run()

    assert bus.types == [EventType.STARTED, EventType.COMPLETED]
    assert again.answers == ["ack"]


async def test_a_ticket_that_comes_again_gives_no_second_result(
    objects_store: Store, tools: TextTools, is_in_store: bool
) -> None:
    bus, dispatch = FakeBus(), await prepare(objects_store, is_in_store=is_in_store)
    again = FakeDelivery(dispatch, sequence=2)

    await build_runner(bus, tools, FakeDelivery(dispatch)).run()
    await build_runner(bus, tools, again).run()

    assert len(bus.results) == 1
    assert again.answers == ["ack unconfirmed"]


async def test_a_later_delivery_of_what_is_recorded_is_not_analysed(
    tools: TextTools, analyst: Analyst
) -> None:
    """As after an ack that was lost, which nobody waits for."""
    bus, dispatch = FakeBus(), carry_document()
    await build_runner(bus, tools, FakeDelivery(dispatch)).run()
    await bus.publish_event(
        ticket_events.EVENTS.build_event(
            ticket_events.Analyzed(), company=COMPANY, subject=TICKET_ID, attempt=1
        )
    )
    again = FakeDelivery(dispatch, attempts=2)

    await build_runner(bus, tools, again).run()

    assert len(analyst.documents) == 1
    assert again.answers == ["ack"]


class LateBus(FakeBus):
    """Cannot be reached when the first result is published."""

    def __init__(self) -> None:
        super().__init__()
        self.tries = 0

    async def publish_result(self, envelope: Envelope) -> None:
        self.tries += 1
        if self.tries == 1:
            raise BusUnavailable("publish")
        await super().publish_result(envelope)


async def test_a_result_that_cannot_be_published_is_tried_again(tools: TextTools) -> None:
    bus, delivery = LateBus(), FakeDelivery(carry_document())

    await build_runner(bus, tools, delivery, patience_seconds=60).run()

    assert (bus.tries, len(bus.results)) == (2, 1)
    assert delivery.answers == ["ack unconfirmed"]


async def test_a_ticket_whose_result_cannot_be_published_is_not_acked(tools: TextTools) -> None:
    bus, delivery = LateBus(), FakeDelivery(carry_document())

    await build_runner(bus, tools, delivery).run()

    assert bus.results == []
    assert [answer.split()[0] for answer in delivery.answers] == ["nak"]


async def test_an_analysis_that_lasts_gives_a_sign_of_life(
    tools: TextTools, analyst: Analyst
) -> None:
    """Sooner than a call, for its ticket is shown as `processing` from then on."""
    bus, kind = FakeBus(), TicketKind(tools)
    kind.first_sign_seconds = 0.0  # looked at once a second
    analyst.is_open.clear()
    runner = Runner(
        bus, kind, SystemClock(), fakes.build_patience(), FakeDelivery(carry_document())
    )
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(5):
        while EventType.WAITING not in bus.types:
            await asyncio.sleep(0.002)
    analyst.is_open.set()
    await running

    assert bus.types[:2] == [EventType.STARTED, EventType.WAITING]
    assert TicketKind(tools).first_sign_seconds < QUIET_SECONDS


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
    objects_store: Store, tools: TextTools, analyst: Analyst, is_in_store: bool
) -> None:
    """Its content is another one: going on with the old one under its name would be wrong."""
    bus = FakeBus()
    analyst.is_open.clear()
    loop = WorkerLoop(bus, [TicketKind(tools)], SystemClock(), fakes.build_patience(60), slots=4)
    stopping = asyncio.Event()
    running = asyncio.create_task(loop.run(stopping, drain_seconds=0))
    old = bus.deliver(await prepare(objects_store, 1, is_in_store=is_in_store), sequence=1)
    async with asyncio.timeout(5):
        while not analyst.documents:
            await asyncio.sleep(0.002)
    new = bus.deliver(await prepare(objects_store, 2, is_in_store=is_in_store), sequence=2)
    async with asyncio.timeout(5):
        while len(analyst.documents) < 2:
            await asyncio.sleep(0.002)
    analyst.is_open.set()
    async with asyncio.timeout(5):
        while not new.answers:
            await asyncio.sleep(0.002)
    stopping.set()
    await running

    assert [result.attempt for result in bus.results] == [2]
    assert analyst.documents[-1].units[0].text == "Attempt 2."
    assert (old.answers, new.answers) == (["ack"], ["ack unconfirmed"])


async def test_several_tickets_come_with_one_question(tools: TextTools) -> None:
    bus = FakeBus()
    for number in range(8):
        ticket_id = TicketId(f"0192f0c1-2345-7abc-8def-00000000000{number}")
        dispatch = carry_document().model_copy(update={"ticket_id": ticket_id, "uid": ticket_id})
        bus.deliver(dispatch, sequence=number + 1)
    loop = WorkerLoop(bus, [TicketKind(tools)], SystemClock(), fakes.build_patience(60), slots=10)
    stopping = asyncio.Event()
    running = asyncio.create_task(loop.run(stopping, drain_seconds=5))
    async with asyncio.timeout(5):
        while len(bus.results) < 8:
            await asyncio.sleep(0.002)
    stopping.set()
    await running

    assert len(bus.pulled) == 1


async def test_a_ticket_that_was_cancelled_before_it_came_is_not_begun(
    tools: TextTools, analyst: Analyst
) -> None:
    bus = FakeBus()
    loop = WorkerLoop(bus, [TicketKind(tools)], SystemClock(), fakes.build_patience(60), slots=4)
    stopping = asyncio.Event()
    running = asyncio.create_task(loop.run(stopping, drain_seconds=5))
    bus.leave_note(TICKET_ID, ControlAction.CANCEL)
    await asyncio.sleep(0.05)
    delivery = bus.deliver(carry_document())
    async with asyncio.timeout(5):
        while not delivery.answers:
            await asyncio.sleep(0.002)
    stopping.set()
    await running

    assert bus.types == [EventType.CANCELLED]
    assert (delivery.answers, analyst.documents) == (["ack"], [])
