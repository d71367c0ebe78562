"""The request body as a stream that ends in one of three ways: whole, hung up, or stalled."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import Any, Self

from litestar import Request
from litestar.exceptions import InternalServerException
from parlance.api.http.errors import ClientGone, Refused
from parlance.contracts.problems import Problem

IDLE_SECONDS = 60.0
"""Longest silence of a client in the middle of a body; a stalled one holds an upload's place."""
MIN_BYTES_PER_SECOND = 4096
"""A client slower than this, on average and after a minute, is as bad as a silent one. 500 MB over
a line that is only just faster take longer than..."""
MAX_WAIT_SECONDS = 3000.0
"""...this much waiting for one client, which stays below the age at which the janitor takes an
upload for left behind (`orphan_seconds`)."""


async def read_body(
    request: Request[Any, Any, Any], *, idle_seconds: float = IDLE_SECONDS
) -> AsyncGenerator[bytes, None]:
    """Chunks as the server hands them over. Raises ClientGone or Refused."""
    chunks = request.stream()
    received_bytes = 0
    with _Idle(idle_seconds) as idle:
        while True:
            try:
                chunk = await idle.wait_for(anext(chunks))
            except StopAsyncIteration:
                return
            except TimeoutError as exc:
                raise Refused(
                    Problem.MALFORMED_REQUEST,
                    f"Nothing was received for {idle_seconds:g} s.",
                    headers={"Connection": "close"},
                ) from exc
            except InternalServerException as exc:  # how the framework words a hang-up
                raise ClientGone from exc
            received_bytes += len(chunk)
            if is_too_slow(received_bytes, idle.waited_seconds):
                raise Refused(
                    Problem.MALFORMED_REQUEST,
                    f"{received_bytes} bytes in {idle.waited_seconds:.0f} s are too slow.",
                    headers={"Connection": "close"},
                )
            if chunk:
                yield chunk


def is_too_slow(received_bytes: int, waited_seconds: float) -> bool:
    """By the time that we waited for the client, not by the time that it waited for us."""
    if waited_seconds > MAX_WAIT_SECONDS:
        return True
    return waited_seconds > IDLE_SECONDS and received_bytes < waited_seconds * MIN_BYTES_PER_SECOND


class _Idle:
    """A deadline for each of very many waits, with one timer for all of them.

    `asyncio.timeout` makes a timer and drops it again for each wait, which was a tenth of what an
    upload costs the event loop. Here the timer stays and asks, when it is due, since when the
    present wait lasts.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(seconds, self._look)
        self._waiting: asyncio.Task[Any] | None = None
        self._since = 0.0
        self._has_ended_wait = False
        self.waited_seconds = 0.0
        """All waits together."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    async def wait_for(self, awaited: Awaitable[bytes]) -> bytes:
        """Raises TimeoutError, as `asyncio.timeout` would, and what `awaited` raises."""
        task = asyncio.current_task()
        assert task is not None
        cancelling = task.cancelling()
        self._since = self._loop.time()
        self._waiting = task
        try:
            return await awaited
        except asyncio.CancelledError as exc:
            if self._has_ended_wait and task.uncancel() <= cancelling:
                raise TimeoutError from exc
            raise
        finally:
            self._waiting = None
            self.waited_seconds += self._loop.time() - self._since

    def _look(self) -> None:
        rest_seconds = self._seconds
        if self._waiting is not None:
            rest_seconds -= self._loop.time() - self._since
        if rest_seconds > 0 or self._waiting is None:
            self._timer = self._loop.call_later(rest_seconds, self._look)
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
