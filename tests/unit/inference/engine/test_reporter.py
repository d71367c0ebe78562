"""Ids of events: what is said twice is stored once. What is said late is what holds then."""

from collections.abc import Awaitable, Callable

from parlance.contracts.bus.calls import Cancelled, Progress, Started
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.calls import Stage
from parlance.inference.engine.lease import Lease
from parlance.runtime.errors import BusUnavailable

from tests.unit.inference import fakes
from tests.unit.inference.fakes import FakeBus, FakeDelivery

STARTED = Started(
    worker="w1", container="wav", codec="pcm", channels=1, duration_seconds=60, model=fakes.MODEL
)


async def test_an_event_with_an_id_of_its_own_is_stored_once_whoever_says_it() -> None:
    bus = FakeBus()
    await fakes.build_reporter(bus).publish(Cancelled(), id_="an-id")
    await fakes.build_reporter(bus, run=2).publish(Cancelled(), id_="an-id")

    assert bus.types == ["cancelled"]


async def test_each_delivery_announces_its_own_start() -> None:
    bus = FakeBus()
    await fakes.build_reporter(bus).announce(STARTED)
    await fakes.build_reporter(bus, run=2).announce(STARTED)

    assert bus.types == ["started", "started"]


async def test_nothing_is_announced_again_that_was_not_announced() -> None:
    bus = FakeBus()

    await fakes.build_reporter(bus).announce_again()

    assert bus.events == []


class _AwayOnce(FakeBus):
    """Away at the first try of an event; meanwhile something happens."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], Awaitable[object]] | None = None
        self._tries = 0

    async def publish_event(self, envelope: Envelope) -> int:
        self._tries += 1
        if self._tries == 1 and self.meanwhile is not None:
            await self.meanwhile()
            raise BusUnavailable("publish")
        return await super().publish_event(envelope)


async def test_an_event_that_had_to_wait_is_of_the_attempt_adopted_meanwhile() -> None:
    """As one of the attempt before everyone would drop it."""
    bus = _AwayOnce()
    lease = Lease(bus, FakeDelivery(fakes.build_dispatch(attempt=1), sequence=1))
    reporter = fakes.build_reporter(bus, lease=lease, patience=fakes.build_patience(60))
    newer = FakeDelivery(fakes.build_dispatch(attempt=2), sequence=2)
    bus.meanwhile = lambda: lease.adopt(newer)

    await reporter.publish(Cancelled())

    assert [event.attempt for event in bus.events] == [2]


async def test_a_sign_that_had_to_wait_says_how_far_the_work_is_then() -> None:
    bus, percent = _AwayOnce(), 10
    reporter = fakes.build_reporter(bus, patience=fakes.build_patience(60))

    async def get_further() -> None:
        nonlocal percent
        percent = 60

    def build_sign() -> Progress:
        stage = Stage.TRANSCRIBE
        return Progress(percent=percent, stage=stage, processed_seconds=0, total_seconds=0)

    bus.meanwhile = get_further

    await reporter.publish_sign(build_sign, "worker")

    assert [event.data["percent"] for event in bus.events] == [60]
