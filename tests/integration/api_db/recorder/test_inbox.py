"""The inbox on a real NATS: nothing acked before it is applied, order per call, no hot loop."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator

import pytest
from parlance.api.recorder.inbox import Inbox
from parlance.contracts import ids
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus import streams
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.calls import Stage
from parlance.contracts.ids import CallId, CompanySlug
from parlance.runtime import bus as bus_package
from parlance.runtime.bus import Bus
from parlance.runtime.clock import SystemClock
from parlance.runtime.errors import Retryable
from parlance.runtime.settings import BusSettings

from devstack import nats_server, waiting


class ScriptedApplier:
    """Notes what it was given; `trouble` decides what it raises."""

    kind = Kind.CALL

    def __init__(self) -> None:
        self.applied: dict[str, list[str]] = defaultdict(list)
        self.given_up: list[str] = []
        self.tries = 0
        self.trouble: Exception | None = None
        self.troubled_call: str | None = None
        self.delay_seconds = 0.0

    def is_wanted(self, envelope: Envelope) -> bool:
        return envelope.type != "call.segment"

    async def apply(self, envelope: Envelope) -> None:
        self.tries += 1
        await asyncio.sleep(self.delay_seconds)
        if self.trouble is not None and self.troubled_call in (None, envelope.subject):
            raise self.trouble
        self.applied[envelope.subject].append(envelope.id)

    async def give_up(self, envelope: Envelope) -> None:
        self.given_up.append(envelope.id)

    @property
    def count(self) -> int:
        return sum(len(applied) for applied in self.applied.values())


@pytest.fixture
def applier() -> ScriptedApplier:
    return ScriptedApplier()


@contextlib.asynccontextmanager
async def running(
    bus: Bus,
    applier: ScriptedApplier,
    *,
    hold_seconds: float = 60.0,
    return_seconds: float = 30.0,
    max_deliveries: int = 8,
) -> AsyncIterator[Inbox]:
    stopping = asyncio.Event()
    inbox = Inbox(
        bus,
        streams.RECORDER,
        [applier],
        SystemClock(),
        stopping,
        hold_seconds=hold_seconds,
        return_seconds=return_seconds,
        max_deliveries=max_deliveries,
    )
    task = asyncio.create_task(inbox.run())
    try:
        yield inbox
    finally:
        stopping.set()
        async with asyncio.timeout(15):
            await task


async def publish_progress(bus: Bus, call_id: CallId, count: int) -> list[str]:
    events = [
        call_events.build_event(
            call_events.Progress(
                percent=percent, stage=Stage.TRANSCRIBE, processed_seconds=0, total_seconds=1
            ),
            company=CompanySlug("acme"),
            call_id=call_id,
            attempt=1,
            detail=str(percent),
        )
        for percent in range(count)
    ]
    for event in events:
        await bus.publish_event(event)
    return [event.id for event in events]


async def test_events_of_a_call_are_applied_in_order_and_once(
    bus: Bus, applier: ScriptedApplier
) -> None:
    calls = [ids.new_call_id() for _ in range(5)]
    published = await asyncio.gather(*(publish_progress(bus, call, 30) for call in calls))
    applier.delay_seconds = 0.002
    async with running(bus, applier):
        await waiting.wait_until(lambda: applier.count >= 150, 20, "all events are applied")

    assert [applier.applied[call] for call in calls] == published


async def test_applied_events_do_not_come_again(bus: Bus, applier: ScriptedApplier) -> None:
    await publish_progress(bus, ids.new_call_id(), 3)
    async with running(bus, applier):
        await waiting.wait_until(lambda: applier.count == 3, 10, "the events are applied")
    async with running(bus, applier):
        await publish_progress(bus, ids.new_call_id(), 1)
        await waiting.wait_until(lambda: applier.count == 4, 10, "the new event is applied")

    assert applier.tries == 4


async def test_trouble_holds_events_without_a_hot_loop(bus: Bus, applier: ScriptedApplier) -> None:
    applier.trouble = Retryable("away")
    published = await publish_progress(bus, ids.new_call_id(), 3)
    async with running(bus, applier):
        await waiting.wait_until(lambda: applier.tries >= 2, 10, "it was tried again")
        assert applier.tries < 5
        applier.trouble = None
        await waiting.wait_until(lambda: applier.count == 3, 10, "the events are applied")

    assert list(applier.applied.values()) == [published]


async def test_trouble_with_one_call_does_not_stop_the_others(
    bus: Bus, applier: ScriptedApplier
) -> None:
    troubled, healthy = ids.new_call_id(), ids.new_call_id()
    applier.trouble, applier.troubled_call = Retryable("away"), troubled
    await publish_progress(bus, troubled, 2)
    await publish_progress(bus, healthy, 2)
    async with running(bus, applier):
        await waiting.wait_until(lambda: applier.count == 2, 10, "the healthy call is applied")

    assert set(applier.applied) == {healthy}


async def test_held_events_are_kept_alive_and_go_back_in_the_end(
    bus: Bus, applier: ScriptedApplier
) -> None:
    applier.trouble = Retryable("away")
    await publish_progress(bus, ids.new_call_id(), 2)
    async with running(bus, applier, hold_seconds=0.2, return_seconds=0.1):
        await waiting.wait_until(lambda: applier.tries >= 3, 10, "it came back from the bus")
        applier.trouble = None
        await waiting.wait_until(lambda: applier.count == 2, 10, "the events are applied")


async def test_a_defect_is_given_up_in_the_end(bus: Bus, applier: ScriptedApplier) -> None:
    poison = ids.new_call_id()
    applier.trouble, applier.troubled_call = ZeroDivisionError(), poison
    published = await publish_progress(bus, poison, 1)
    async with running(bus, applier, return_seconds=0.05, max_deliveries=3):
        await waiting.wait_until(lambda: applier.given_up, 20, "the event is given up")

    assert applier.given_up == published
    assert applier.tries == 3


async def test_a_restart_of_the_bus_loses_nothing(
    nats: nats_server.NatsServer, applier: ScriptedApplier
) -> None:
    settings = BusSettings(nats_url=nats.url, publish_deadline_seconds=20)
    async with bus_package.open_bus(settings, client_name="test") as bus, running(bus, applier):
        first = await publish_progress(bus, ids.new_call_id(), 5)
        await nats.process.kill()
        await nats.process.start()
        second = await publish_progress(bus, ids.new_call_id(), 5)

        def list_once() -> list[list[str]]:
            """Without what came again, as the restart lost its ack."""
            return [list(dict.fromkeys(applied)) for applied in applier.applied.values()]

        await waiting.wait_until(lambda: sum(map(len, list_once())) == 10, 60, "all are applied")

    assert list_once() == [first, second]


async def test_a_wiped_bus_is_taken_up_anew(
    nats: nats_server.NatsServer, applier: ScriptedApplier
) -> None:
    settings = BusSettings(nats_url=nats.url, publish_deadline_seconds=20)
    async with bus_package.open_bus(settings, client_name="test") as bus, running(bus, applier):
        await publish_progress(bus, ids.new_call_id(), 2)
        await waiting.wait_until(lambda: applier.count == 2, 20, "the events are applied")
        await nats.wipe()
        await publish_progress(bus, ids.new_call_id(), 2)
        await waiting.wait_until(lambda: applier.count == 4, 60, "the new events are applied")
