"""The request body as a stream that ends in one of three ways: whole, hung up, or too slow."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Any, Self

from litestar import Request
from litestar.exceptions import InternalServerException
from parlance.api.http.errors import ClientGone, Refused
from parlance.contracts.problems import Problem


@dataclass(frozen=True, slots=True)
class Pace:
    """What is asked of a client's line. Only the time that we wait for the client counts, not the
    time that it waits for us."""

    idle_seconds: float
    """Longest silence in the middle of a body."""
    min_bytes_per_second: int
    """Asked anew of every `window_seconds` of waiting: what came fast before is no credit."""
    max_wait_seconds: float
    """All waiting for one body together."""
    window_seconds: float = 60.0
    advice: str = ""
    """What the client can do about it."""


class BodyReader:
    """One request's body. The pace may change while it is read: less is trusted to a client whose
    key is not known yet."""

    def __init__(self, request: Request[Any, Any, Any], pace: Pace) -> None:
        self._request = request
        self._meter = Meter(pace)

    def change_pace(self, pace: Pace) -> None:
        self._meter.pace = pace

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """As the server hands them over. Raises ClientGone or Refused."""
        chunks, meter = self._request.stream(), self._meter
        with _Waits() as waits:
            while True:
                try:
                    chunk = await waits.wait_for(anext(chunks), meter.allowance_seconds)
                except StopAsyncIteration:
                    return
                except TimeoutError as exc:
                    raise meter.refuse_silence() from exc
                except InternalServerException as exc:  # how the framework words a hang-up
                    raise ClientGone from exc
                meter.note(len(chunk), waits.last_seconds)
                if meter.is_too_slow():
                    raise meter.refuse("The body arrives too slowly.")
                if chunk:
                    yield chunk


class Meter:
    """Holds a client to its pace. Pure: the times are told to it."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._waited_seconds = 0.0
        self._window_seconds = 0.0
        self._window_bytes = 0

    @property
    def allowance_seconds(self) -> float:
        """How long the next wait may last."""
        left_seconds = self.pace.max_wait_seconds - self._waited_seconds
        return max(0.0, min(self.pace.idle_seconds, left_seconds))

    def note(self, received_bytes: int, waited_seconds: float) -> None:
        self._waited_seconds += waited_seconds
        self._window_seconds += waited_seconds
        self._window_bytes += received_bytes

    def is_too_slow(self) -> bool:
        """Asked after each chunk."""
        if self._waited_seconds > self.pace.max_wait_seconds:
            return True
        if self._window_seconds < self.pace.window_seconds:
            return False
        wanted_bytes = self._window_seconds * self.pace.min_bytes_per_second
        is_slow = self._window_bytes < wanted_bytes
        self._window_seconds, self._window_bytes = 0.0, 0
        return is_slow

    def refuse_silence(self) -> Refused:
        """Once a wait has lasted for as long as it may."""
        if self.allowance_seconds < self.pace.idle_seconds:
            seconds = self.pace.max_wait_seconds
            return self.refuse(f"The body was not complete after {seconds:g} s of waiting.")
        return self.refuse(f"Nothing was received for {self.pace.idle_seconds:g} s.")

    def refuse(self, detail: str) -> Refused:
        text = f"{detail} {self.pace.advice}".rstrip()
        return Refused(Problem.MALFORMED_REQUEST, text, headers={"Connection": "close"})


class _Waits:
    """A deadline for each of very many waits, with one timer for all of them.

    `asyncio.timeout` makes a timer and drops it again for each wait, which was a tenth of what an
    upload costs the event loop. Here the timer stays and asks, when it is due, since when the
    present wait lasts.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[Any] | None = None
        self._since = 0.0
        self._until = 0.0
        self._has_ended_wait = False
        self.last_seconds = 0.0
        """How long the last wait took."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    async def wait_for(self, awaited: Awaitable[bytes], seconds: float) -> bytes:
        """Raises TimeoutError, as `asyncio.timeout` would, and what `awaited` raises."""
        task = asyncio.current_task()
        assert task is not None
        cancelling = task.cancelling()
        self._since = self._loop.time()
        self._until = self._since + seconds
        self._waiting = task
        self._watch()
        try:
            return await awaited
        except asyncio.CancelledError as exc:
            if self._has_ended_wait and task.uncancel() <= cancelling:
                raise TimeoutError from exc
            raise
        finally:
            self._waiting = None
            self.last_seconds = self._loop.time() - self._since

    def _watch(self) -> None:
        """A timer that is due before the end of the wait stays: it asks again then."""
        if self._timer is not None and self._timer.when() <= self._until:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._until, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiting is None:
            return  # the next wait sets it again
        if self._loop.time() < self._until:
            self._watch()
        else:
            self._has_ended_wait = True
            self._waiting.cancel()


async def gather(chunks: AsyncIterator[bytes], block_bytes: int) -> AsyncGenerator[bytes, None]:
    """The same bytes, small pieces joined: each one is a crossing into the store's threads.

    A piece of a block or more goes through as it is. Larger blocks would cost more than they save:
    memory of more than about 128 KiB is mapped and zeroed anew each time.
    """
    pieces: list[bytes] = []
    size_bytes = 0
    async for chunk in chunks:
        pieces.append(chunk)
        size_bytes += len(chunk)
        if size_bytes >= block_bytes:
            yield b"".join(pieces)
            pieces, size_bytes = [], 0
    if pieces:
        yield b"".join(pieces)
