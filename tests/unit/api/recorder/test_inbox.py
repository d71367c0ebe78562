"""Which events the inbox hands on. How it holds and orders them is tested on a real NATS."""

import asyncio
import dataclasses
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from parlance.api.recorder.inbox import GATHER_SECONDS, Inbox
from parlance.contracts import ids
from parlance.contracts.bus import envelopes, streams
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.streams import Consumer
from parlance.contracts.ids import CompanySlug
from parlance.contracts.values import Value
from parlance.runtime.clock import ManualClock, SystemClock


class CallsOnly:
    """Applies whatever it is given, and stops the inbox with its first event."""

    kind = "call"

    def __init__(self, stopping: asyncio.Event) -> None:
        self.applied: list[str] = []
        self._stopping = stopping

    def is_wanted(self, envelope: Envelope) -> bool:
        return True

    async def apply(self, envelope: Envelope) -> None:
        self.applied.append(envelope.type)
        self._stopping.set()

    async def give_up(self, envelope: Envelope) -> None:
        raise AssertionError(envelope)


@dataclass
class FakeDelivery:
    value: Envelope
    attempts: int = 1
    is_acked: bool = False

    async def ack_unconfirmed(self) -> None:
        self.is_acked = True


@dataclass
class FakeBus:
    deliveries: list[FakeDelivery] = field(default_factory=list)
    asked: set[Consumer] = field(default_factory=set)

    async def pull_events(self, consumer: Consumer, **_: object) -> list[FakeDelivery]:
        self.asked.add(consumer)
        return self.deliveries


def build_delivery(type_: str) -> FakeDelivery:
    event = envelopes.build_event(
        type_, Value(), company=CompanySlug("acme"), subject=ids.new_call_id(), attempt=1
    )
    return FakeDelivery(event)


async def test_events_of_a_kind_that_nobody_applies_are_acked_and_the_others_applied() -> None:
    stopping = asyncio.Event()
    applier = CallsOnly(stopping)
    deliveries = [build_delivery("ticket.queued"), build_delivery("call.started")]
    bus: Any = FakeBus(deliveries)
    inbox = Inbox(bus, streams.RECORDER, [applier], SystemClock(), stopping, hold_seconds=1)
    async with asyncio.timeout(10):
        await inbox.run()

    assert applier.applied == ["call.started"]
    assert all(delivery.is_acked for delivery in deliveries)


async def test_an_inbox_reads_the_consumer_that_it_is_given() -> None:
    stopping = asyncio.Event()
    bus: Any = FakeBus([build_delivery("call.started")])
    tickets = dataclasses.replace(streams.RECORDER, durable="recorder-tickets")
    inbox = Inbox(bus, tickets, [CallsOnly(stopping)], SystemClock(), stopping, hold_seconds=1)
    async with asyncio.timeout(10):
        await inbox.run()

    assert bus.asked == {tickets}


class ComingBus:
    """Hands out at once what has come since; waits for an event when there is none."""

    def __init__(self, clock: ManualClock, *, pull_seconds: float) -> None:
        """`pull_seconds` pass by the clock with every pull."""
        self.batches: list[int] = []
        self._clock = clock
        self._pull_seconds = pull_seconds
        self._waiting: list[FakeDelivery] = []
        self._has_come = asyncio.Event()

    def put(self, delivery: FakeDelivery) -> None:
        self._waiting.append(delivery)
        self._has_come.set()

    async def pull_events(self, consumer: Consumer, **_: object) -> list[FakeDelivery]:
        await self._has_come.wait()
        self._has_come.clear()
        taken, self._waiting = self._waiting, []
        self._clock.advance(self._pull_seconds)
        self.batches.append(len(taken))
        return taken


class Counting(CallsOnly):
    """Stops the inbox with the last of so many events."""

    def __init__(self, stopping: asyncio.Event, count: int) -> None:
        super().__init__(stopping)
        self._count = count

    async def apply(self, envelope: Envelope) -> None:
        self.applied.append(envelope.type)
        if len(self.applied) == self._count:
            self._stopping.set()


async def take_six(*, pull_seconds: float) -> list[int]:
    """How many events came with each pull, of six that come one by one."""
    stopping, clock = asyncio.Event(), ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    coming = ComingBus(clock, pull_seconds=pull_seconds)
    bus: Any = coming
    inbox = Inbox(bus, streams.RECORDER, [Counting(stopping, 6)], clock, stopping, hold_seconds=1)
    running = asyncio.create_task(inbox.run())
    for _ in range(6):
        coming.put(build_delivery("call.started"))
        for _ in range(20):  # enough turns of the loop for a pull that waits
            await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await running
    return coming.batches


async def test_events_that_come_soon_after_one_another_are_taken_together() -> None:
    batches = await take_six(pull_seconds=0.0)

    assert sum(batches) == 6
    assert max(batches) > 1


async def test_events_that_come_one_by_one_are_taken_at_once() -> None:
    assert await take_six(pull_seconds=2 * GATHER_SECONDS) == [1] * 6
