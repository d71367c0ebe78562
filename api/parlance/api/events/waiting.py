"""Long polling: `GET .../{id}?wait=30` answers when the thing has changed, or in time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from parlance.api.events.hub import Hub, ListenerCut, StreamRebuilt, Topic

MAX_WAIT_SECONDS = 60
_LOOK_SECONDS = 1.0
"""The row is looked at this often even without an event: some changes are written only after
their event has arrived, and the bus may be away."""

T = TypeVar("T")


async def wait_for(
    fetch: Callable[[], Awaitable[T]],
    is_enough: Callable[[T], bool],
    hub: Hub,
    topic: Topic,
    *,
    wait_seconds: float,
) -> T:
    """The newest state, as soon as it is enough or the time is up."""
    deadline = time.monotonic() + wait_seconds
    with hub.listen(topic) as listener:
        while True:
            found = await fetch()
            left = deadline - time.monotonic()
            if is_enough(found) or left <= 0:
                return found
            try:
                async with asyncio.timeout(min(left, _LOOK_SECONDS)):
                    await listener.receive()
            except TimeoutError:
                continue
            except (ListenerCut, StreamRebuilt):
                return found
