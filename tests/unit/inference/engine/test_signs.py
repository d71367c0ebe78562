import asyncio
from collections.abc import Callable

from parlance.contracts.bus.calls import Progress
from parlance.contracts.bus.envelopes import parse_data
from parlance.contracts.calls import Stage
from parlance.inference.engine import details
from parlance.inference.engine.signs import Signs
from parlance.inference.engine.waits import STORE, Awaited, Waits
from parlance.runtime.clock import ManualClock, SystemClock

from tests.unit.inference import fakes
from tests.unit.inference.fakes import FakeBus


def _build_sign(awaited: Awaited | None) -> Progress:
    return Progress(
        percent=50,
        stage=Stage.TRANSCRIBE,
        processed_seconds=30,
        total_seconds=60,
        waiting_for=awaited.reason if awaited else None,
    )


def _list_waits(bus: FakeBus) -> list[str | None]:
    return [parse_data(event, Progress).waiting_for for event in bus.events]


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_run_that_has_nothing_to_say_says_that_it_lives_and_how_far_it_is() -> None:
    bus, clock = FakeBus(), SystemClock()
    given = Signs(fakes.build_reporter(bus, run=2), Waits(clock), clock)
    async with given.kept_up(_build_sign, quiet_seconds=0.02, look_seconds=0.005):
        await _until(lambda: bus.types.count("progress") >= 2)

    assert parse_data(bus.find("call.progress"), Progress) == _build_sign(None)
    assert not details.is_doubt(bus.events[0])


async def test_only_the_first_sign_may_come_sooner() -> None:
    bus, clock = FakeBus(), SystemClock()
    given = Signs(fakes.build_reporter(bus), Waits(clock), clock)
    async with given.kept_up(_build_sign, first_seconds=0.02, look_seconds=0.005):
        await _until(lambda: bool(bus.events))
        await asyncio.sleep(0.1)

    assert bus.types == ["progress"]


async def test_a_wait_is_told_once_when_it_lasts_and_its_end_too() -> None:
    bus, clock = FakeBus(), ManualClock()
    waits = Waits(clock)
    given = Signs(fakes.build_reporter(bus), waits, clock)
    async with given.kept_up(_build_sign, look_seconds=0.005):
        with waits.track() as begin_wait:
            begin_wait(STORE)
            await asyncio.sleep(0.05)
            while_short = _list_waits(bus)
            clock.advance(3)
            await _until(lambda: bool(bus.events))
            await asyncio.sleep(0.05)
            while_long = _list_waits(bus)
        await _until(lambda: len(bus.events) > 1)

    assert while_short == []
    assert while_long == [STORE.reason]
    assert _list_waits(bus) == [STORE.reason, None]


async def test_a_wait_that_was_told_at_once_is_not_told_again() -> None:
    bus, clock = FakeBus(), ManualClock()
    waits = Waits(clock)
    given = Signs(fakes.build_reporter(bus), waits, clock)
    with waits.track() as begin_wait:
        begin_wait(STORE)
        await given.give(_build_sign, STORE)
        async with given.kept_up(_build_sign, look_seconds=0.005):
            await asyncio.sleep(0.05)
            clock.advance(3)
            await asyncio.sleep(0.05)

    assert _list_waits(bus) == [STORE.reason]


async def test_doubt_is_told_from_work() -> None:
    bus, clock = FakeBus(), SystemClock()

    await Signs(fakes.build_reporter(bus), Waits(clock), clock).give_doubt(_build_sign)

    assert bus.types == ["progress"]
    assert details.is_doubt(bus.events[0])
