"""Tasks that belong to somebody: their beginning and their end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

_AGAIN_SECONDS = 5.0


async def end(*tasks: "asyncio.Future[Any]", again_seconds: float = _AGAIN_SECONDS) -> None:
    """Cancel what still runs and return when all of it has ended; what it raises is not raised.

    One cancellation may get lost: `asyncio.wait_for` of Python 3.11 returns normally when what it
    waits for comes at the same moment, and `gather` raises a child's own fault in its place. The
    loop that was to end then goes on, so whoever has not ended after five seconds is told again.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again_seconds)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # seen; asyncio would complain otherwise


@asynccontextmanager
async def running_later(
    seconds: float, start: Callable[[], Coroutine[Any, Any, None]], *, name: str
) -> AsyncIterator[None]:
    """Run a task beside the body, if the body lasts longer than `seconds`. Most do not where this
    is used, and a timer costs a tenth of a task."""
    task: asyncio.Task[None] | None = None

    def begin() -> None:
        nonlocal task
        task = asyncio.create_task(start(), name=name)

    timer = asyncio.get_running_loop().call_later(seconds, begin)
    try:
        yield
    finally:
        timer.cancel()
        if task is not None:
            await end(task)
