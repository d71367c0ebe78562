"""The request body: a client that stalls is given up, one that is only slow is not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from litestar import Request
from parlance.api.errors import Refused
from parlance.api.ingest import body

IDLE_SECONDS = 0.2


class Client:
    """A request whose chunks come after pauses; the last pause ends the body."""

    def __init__(self, *pauses_seconds: float) -> None:
        self._pauses_seconds = pauses_seconds

    async def stream(self) -> AsyncIterator[bytes]:
        for pause_seconds in self._pauses_seconds:
            await asyncio.sleep(pause_seconds)
            yield b"x"


def read(client: Client) -> AsyncIterator[bytes]:
    request = cast("Request[Any, Any, Any]", client)
    return body.read_body(request, idle_seconds=IDLE_SECONDS)


async def test_a_client_that_stalls_is_refused_and_nothing_of_the_wait_remains() -> None:
    task = asyncio.current_task()
    assert task is not None
    received = []
    with pytest.raises(Refused) as refusal:
        async for chunk in read(Client(0.0, 0.0, 60.0)):
            received.append(chunk)

    assert received == [b"x", b"x"]
    assert refusal.value.headers == {"Connection": "close"}
    assert task.cancelling() == 0


async def test_a_slow_client_is_waited_for_however_long_it_takes_in_all() -> None:
    pauses_seconds = [IDLE_SECONDS / 4] * 12

    assert len([chunk async for chunk in read(Client(*pauses_seconds))]) == len(pauses_seconds)


async def test_time_that_we_take_ourselves_is_not_the_clients() -> None:
    received = []
    async for chunk in read(Client(0.0, 0.0)):
        received.append(chunk)
        await asyncio.sleep(IDLE_SECONDS * 3)

    assert len(received) == 2


async def test_a_cancellation_from_outside_stays_one() -> None:
    async def consume() -> None:
        async for _ in read(Client(60.0)):
            pass

    task = asyncio.create_task(consume())
    await asyncio.sleep(IDLE_SECONDS / 2)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_client_that_drips_is_refused_after_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Time is the loop's, and goes on by 50 s with every byte."""
    loop = asyncio.get_running_loop()
    elapsed_seconds = 0.0
    real_time = loop.time
    monkeypatch.setattr(loop, "time", lambda: real_time() + elapsed_seconds)

    class Dripping:
        async def stream(self) -> AsyncIterator[bytes]:
            nonlocal elapsed_seconds
            while True:
                elapsed_seconds += 50
                yield b"x"

    received = []
    with pytest.raises(Refused) as refusal:
        async for chunk in body.read_body(cast("Request[Any, Any, Any]", Dripping())):
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
