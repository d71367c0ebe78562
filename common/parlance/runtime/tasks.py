"""The end of tasks that belong to somebody."""

import asyncio
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
