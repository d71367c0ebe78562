"""The request body as a stream that ends in one of three ways: whole, hung up, or stalled."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import Any, Self

from litestar import Request
from litestar.exceptions import InternalServerException
from parlance.api.errors import ClientGone, Refused
from parlance.contracts.problems import Problem

IDLE_SECONDS = 60.0
"""Longest silence of a client in the middle of a body; a stalled one holds an upload's place."""


async def read_body(
    request: Request[Any, Any, Any], *, idle_seconds: float = IDLE_SECONDS
) -> AsyncGenerator[bytes, None]:
    """Chunks as the server hands them over. Raises ClientGone or Refused."""
    chunks = request.stream()
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
            if chunk:
                yield chunk


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
