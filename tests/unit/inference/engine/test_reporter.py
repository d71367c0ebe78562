"""Ids of events: what is said twice is stored once."""

from parlance.contracts.bus.calls import Cancelled, Started

from tests.unit.inference import fakes
from tests.unit.inference.fakes import FakeBus

STARTED = Started(
    worker="w1", container="wav", codec="pcm", channels=1, duration_seconds=60, model=fakes.MODEL
)


async def test_an_event_with_an_id_of_its_own_is_stored_once_whoever_says_it() -> None:
    bus = FakeBus()
    await fakes.build_reporter(bus).publish(Cancelled(), id_="an-id")
    await fakes.build_reporter(bus, deliveries=2).publish(Cancelled(), id_="an-id")

    assert bus.types == ["cancelled"]


async def test_each_delivery_announces_its_own_start() -> None:
    bus = FakeBus()
    await fakes.build_reporter(bus).announce(STARTED)
    await fakes.build_reporter(bus, deliveries=2).announce(STARTED)

    assert bus.types == ["started", "started"]


async def test_nothing_is_announced_again_that_was_not_announced() -> None:
    bus = FakeBus()

    await fakes.build_reporter(bus).announce_again()

    assert bus.events == []
