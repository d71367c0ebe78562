"""Events of a call: their ids, and the signs of life between them."""

import asyncio

from parlance.contracts.bus.calls import Progress, SegmentsReady, Started
from parlance.contracts.bus.envelopes import parse_data
from parlance.contracts.calls import Role
from parlance.inference.worker.lease import Lease
from parlance.inference.worker.patience import Patience
from parlance.inference.worker.reporter import Reporter
from parlance.runtime.clock import SystemClock

from tests.unit.inference.worker import fakes
from tests.unit.inference.worker.fakes import FakeBus, FakeDelivery

STARTED = Started(
    worker="w1", container="wav", codec="pcm", channels=1, duration_seconds=60, model=fakes.MODEL
)


def _reporter(bus: FakeBus, *, deliveries: int = 1) -> Reporter:
    clock = SystemClock()
    lease = Lease(bus, FakeDelivery(fakes.build_dispatch()))
    patience = Patience(clock, deadline_seconds=1)
    return Reporter(bus, lease, clock, patience, deliveries=deliveries)


def _window(number: int) -> SegmentsReady:
    """The window that ends the next 15 of 60 seconds."""
    end_seconds = 15.0 * (number + 1)
    return SegmentsReady(
        window=number,
        channel=0,
        speaker="speaker_0",
        role=Role.UNKNOWN,
        start_seconds=end_seconds - 15,
        end_seconds=end_seconds,
        segments=(),
        model_hash=fakes.MODEL.hash,
        processed_seconds=end_seconds,
        total_seconds=60,
    )


async def test_a_window_of_the_same_model_is_published_once() -> None:
    bus = FakeBus()
    await _reporter(bus).report_window(_window(0))
    await _reporter(bus, deliveries=2).report_window(_window(0))

    assert bus.types == ["segment"]


async def test_signs_of_life_count_what_an_earlier_run_has_done() -> None:
    bus = FakeBus()
    reporter = _reporter(bus, deliveries=2)
    await reporter.announce(STARTED)
    reporter.note_window(_window(1))
    reporter.note_window(_window(0))
    async with reporter.never_silent(quiet_seconds=0.02):
        async with asyncio.timeout(5):
            while bus.types.count("progress") < 2:
                await asyncio.sleep(0.005)

    sign = parse_data(bus.find("call.progress"), Progress)
    assert (sign.percent, sign.processed_seconds, sign.total_seconds) == (50, 30.0, 60.0)
