import asyncio

from parlance.contracts.bus.calls import Progress
from parlance.contracts.bus.envelopes import parse_data
from parlance.contracts.calls import Stage
from parlance.inference.engine import signs
from parlance.inference.engine.signs import Signs
from parlance.runtime.clock import SystemClock

from tests.unit.inference import fakes
from tests.unit.inference.fakes import FakeBus


def _build_sign() -> Progress:
    return Progress(percent=50, stage=Stage.TRANSCRIBE, processed_seconds=30, total_seconds=60)


async def test_a_run_that_has_nothing_to_say_says_that_it_lives_and_how_far_it_is() -> None:
    bus = FakeBus()
    given = Signs(fakes.build_reporter(bus, deliveries=2), SystemClock())
    async with given.kept_up(_build_sign, quiet_seconds=0.02):
        async with asyncio.timeout(5):
            while bus.types.count("progress") < 2:
                await asyncio.sleep(0.005)

    assert parse_data(bus.find("call.progress"), Progress) == _build_sign()
    assert not signs.is_doubt(bus.events[0])


async def test_doubt_is_told_from_work() -> None:
    bus = FakeBus()

    await Signs(fakes.build_reporter(bus), SystemClock()).give_doubt(_build_sign)

    assert bus.types == ["progress"]
    assert signs.is_doubt(bus.events[0])
