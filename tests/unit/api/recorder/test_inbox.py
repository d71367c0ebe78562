"""Which events the inbox hands on. How it holds and orders them is tested on a real NATS."""

import asyncio
import dataclasses
from dataclasses import dataclass, field
from typing import Any

from parlance.api.recorder.inbox import Inbox
from parlance.contracts import ids
from parlance.contracts.bus import envelopes, streams
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.streams import Consumer
from parlance.contracts.ids import CompanySlug
from parlance.contracts.values import Value
from parlance.runtime.clock import SystemClock


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
