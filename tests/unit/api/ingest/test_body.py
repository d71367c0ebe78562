"""The request body: a client that stalls is given up, one that is only slow is not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from litestar import Request
from parlance.api.http import body
from parlance.api.http.errors import Refused

IDLE_SECONDS = 20.0
"""No test waits for it: the time is the clock's below, and a machine that stalls for seconds
changes nothing."""


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


def read(client: Client | SilentClient) -> AsyncIterator[bytes]:
    request = cast("Request[Any, Any, Any]", client)
    return body.read_body(request, idle_seconds=IDLE_SECONDS)


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
    """A byte every 40 s, which the limit of one silence allows."""
    client = cast("Request[Any, Any, Any]", Client(clock, 40, 40, 40))
    received = []
    with pytest.raises(Refused) as refusal:
        async for chunk in body.read_body(client):
            received.append(chunk)

    assert received == [b"x"]
    assert refusal.value.headers == {"Connection": "close"}


@pytest.mark.parametrize(
    ("received_bytes", "waited_seconds", "is_too_slow"),
    [
        (0, 59, False),
        (0, 61, True),
        (61 * body.MIN_BYTES_PER_SECOND, 61, False),
        (500_000_000, body.MAX_WAIT_SECONDS, False),
        (500_000_000, body.MAX_WAIT_SECONDS + 1, True),
    ],
)
def test_only_waiting_for_too_few_bytes_is_too_slow(
    received_bytes: int, waited_seconds: float, is_too_slow: bool
) -> None:
    assert body.is_too_slow(received_bytes, waited_seconds) is is_too_slow
