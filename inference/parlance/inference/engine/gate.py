"""How many requests of all runs may be on their way to a model at once, and who is next.

Whoever waits is let in by the priority of its work, 8:3:1 as lanes are: what somebody is watching
does not stand behind long calls that began before it, and those never stand still either.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from parlance.contracts.bus.streams import LANE_WEIGHTS
from parlance.contracts.calls import Priority
from parlance.inference.engine import lanes


class Gate:
    """A fixed number of places, each held by one request. Of the same priority, first come, first
    served."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: dict[Priority, deque[asyncio.Future[None]]] = {
            priority: deque() for priority in LANE_WEIGHTS
        }
        self._preferences = lanes.iter_preferences(LANE_WEIGHTS)

    @asynccontextmanager
    async def place(self, priority: Priority) -> AsyncIterator[None]:
        """Wait for a place and hold it for as long as the context lasts."""
        await self._take(priority)
        try:
            yield
        finally:
            self._give_back()

    async def _take(self, priority: Priority) -> None:
        if self._free > 0:  # then nobody waits
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting[priority].append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back()  # it came just when nobody waited for it any more
            raise

    def _give_back(self) -> None:
        """To whoever is next; those that were cancelled while they waited are left out."""
        for priority in next(self._preferences):
            waiting = self._waiting[priority]
            while waiting:
                turn = waiting.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._free += 1
