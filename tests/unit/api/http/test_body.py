"""The request body: a client that stalls is given up, one that is only slow is not."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from litestar import Request
from parlance.api.http.body import BodyReader, Meter, Pace
from parlance.api.http.errors import Refused

PACE = Pace(
    idle_seconds=20.0,
    min_bytes_per_second=32 * 1024,
    max_wait_seconds=3000.0,
    window_seconds=60.0,
)
"""No test waits for it: the time is the clock's below, and a machine that stalls for seconds
changes nothing."""
IDLE_SECONDS = PACE.idle_seconds


class Clock:
    """The loop's time, put forward by hand."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._real_time = loop.time
        self._ahead_seconds = 0.0

    def time(self) -> float:
        return self._real_time() + self._ahead_seconds

    def jump(self, seconds: float) -> None:
        """As when a program keeps the loop from running."""
        self._ahead_seconds += seconds

    async def wait(self, seconds: float) -> None:
        """As `asyncio.sleep` does: timers that are due meanwhile run."""
        self.jump(seconds)
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    loop = asyncio.get_running_loop()
    clock = Clock(loop)
    monkeypatch.setattr(loop, "time", clock.time)
    return clock


class Client:
    """A request whose chunks come after pauses; after the last one the body ends."""

    def __init__(self, clock: Clock, *pauses_seconds: float) -> None:
        self._clock = clock
        self._pauses_seconds = pauses_seconds

    async def stream(self) -> AsyncIterator[bytes]:
        for pause_seconds in self._pauses_seconds:
            await self._clock.wait(pause_seconds)
            yield b"x"


class SilentClient:
    """A request of which nothing is ever heard."""

    async def stream(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b"x"


def build_reader(client: Client | SilentClient, pace: Pace = PACE) -> BodyReader:
    return BodyReader(cast("Request[Any, Any, Any]", client), pace)


def read(client: Client | SilentClient) -> AsyncIterator[bytes]:
    return build_reader(client).chunks()


async def test_a_client_that_stalls_is_refused_and_nothing_of_the_wait_remains(
    clock: Clock,
) -> None:
    task = asyncio.current_task()
    assert task is not None
    received = []
    with pytest.raises(Refused) as refusal:
        async for chunk in read(Client(clock, 0.0, 0.0, IDLE_SECONDS + 1)):
            received.append(chunk)

    assert received == [b"x", b"x"]
    assert refusal.value.headers == {"Connection": "close"}
    assert task.cancelling() == 0


async def test_a_slow_client_is_waited_for_however_long_it_takes_in_all(clock: Clock) -> None:
    """Longer than the limit, but short of the minute after which so few bytes are too slow."""
    pauses_seconds = [IDLE_SECONDS / 5] * 12
    received = [chunk async for chunk in read(Client(clock, *pauses_seconds))]

    assert len(received) == len(pauses_seconds)


async def test_time_that_we_take_ourselves_is_not_the_clients(clock: Clock) -> None:
    received = []
    async for chunk in read(Client(clock, 0.0, 0.0)):
        received.append(chunk)
        await clock.wait(IDLE_SECONDS * 3)
        clock.jump(IDLE_SECONDS * 3)

    assert len(received) == 2


async def test_a_cancellation_from_outside_stays_one(clock: Clock) -> None:
    async def consume() -> None:
        async for _ in read(SilentClient()):
            pass

    task = asyncio.create_task(consume())
    await clock.wait(IDLE_SECONDS / 2)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_client_that_drips_is_refused_after_a_minute(clock: Clock) -> None:
    """A byte every 15 s, which the limit of one silence allows."""
    received = []
    with pytest.raises(Refused) as refusal:
        async for chunk in read(Client(clock, *[15.0] * 10)):
            received.append(chunk)

    assert received == [b"x"] * 3
    assert refusal.value.headers == {"Connection": "close"}


async def test_a_client_that_is_trusted_less_is_given_up_sooner_and_told_what_to_do(
    clock: Clock,
) -> None:
    pace = dataclasses.replace(PACE, max_wait_seconds=30.0, advice="Send the key first.")
    received = []
    with pytest.raises(Refused) as refusal:
        async for chunk in build_reader(Client(clock, *[8.0] * 10), pace).chunks():
            received.append(chunk)

    assert received == [b"x"] * 3
    assert refusal.value.detail.endswith("Send the key first.")


async def test_a_client_that_becomes_known_may_take_its_time(clock: Clock) -> None:
    reader = build_reader(Client(clock, *[8.0] * 6), dataclasses.replace(PACE, max_wait_seconds=30))
    received = []
    async for chunk in reader.chunks():
        received.append(chunk)
        reader.change_pace(PACE)

    assert received == [b"x"] * 6


def run_meter(rate_bytes: float, seconds: float) -> bool:
    """Whether a client that sends so many bytes in each second is refused in that time."""
    meter = Meter(PACE)
    for _ in range(int(seconds)):
        meter.note(int(rate_bytes), 1.0)
        if meter.is_too_slow():
            return True
    return False


@pytest.mark.parametrize(
    ("rate_bytes", "seconds", "is_too_slow"),
    [
        (0, 59, False),
        (0, 61, True),
        (PACE.min_bytes_per_second, 61, False),
        (PACE.min_bytes_per_second - 1, 61, True),
        (PACE.min_bytes_per_second, 3001, True),
        (524_288_000 / 2990, 2990, False),  # the largest file over a line of 1.4 Mbit/s
    ],
)
def test_only_waiting_for_too_few_bytes_is_too_slow(
    rate_bytes: float, seconds: float, is_too_slow: bool
) -> None:
    assert run_meter(rate_bytes, seconds) is is_too_slow


def test_bytes_that_came_fast_are_no_credit_for_a_drip_later() -> None:
    meter = Meter(PACE)
    meter.note(500_000_000, 60.0)
    assert not meter.is_too_slow()

    meter.note(1000, 61.0)

    assert meter.is_too_slow()
