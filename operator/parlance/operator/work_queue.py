"""Keys that want a reconcile: each waits once, and is never worked on twice at the same time.

As in controller-runtime: adding a key that waits changes nothing, adding one that is being worked
on makes it run again afterwards, and a failing key comes back after its own growing pause.
"""

import asyncio
import heapq
import random
from collections import deque
from typing import NamedTuple

from parlance.operator import metrics
from parlance.runtime.clock import Clock

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_JITTER = 0.3


class Key(NamedTuple):
    """Namespace and name of an object."""

    namespace: str
    name: str


class WorkQueue:
    """Used by one event loop; `take` and `done` embrace the work on a key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ready: deque[Key] = deque()
        self._since: dict[Key, float] = {}
        """Keys that wait, and since when."""
        self._running: set[Key] = set()
        self._again: set[Key] = set()
        self._later: list[tuple[float, Key]] = []
        self._due: dict[Key, float] = {}
        """When each delayed key is due; older entries of the heap count for nothing."""
        self._failures: dict[Key, int] = {}
        self._wake = asyncio.Event()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._ready)

    def add(self, key: Key) -> None:
        """Now, unless it waits already."""
        if self._is_closed or key in self._since:
            return
        if key in self._running:
            self._again.add(key)
            return
        self._since[key] = self._clock.monotonic()
        self._ready.append(key)
        metrics.QUEUE_DEPTH.set(len(self._ready))
        self._wake.set()

    def add_later(self, key: Key, delay_seconds: float) -> None:
        """After a while; the earliest wish counts."""
        due = self._clock.monotonic() + delay_seconds
        if self._due.get(key, due + 1) <= due:
            return
        self._due[key] = due
        heapq.heappush(self._later, (due, key))
        self._wake.set()

    def retry(self, key: Key, at_least_seconds: float = 0.0) -> float:
        """After a failure: each in a row doubles the pause. Returns the pause in seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 16))
        pause = max(pause, at_least_seconds) * (1 + random.random() * _JITTER)  # noqa: S311 - spread
        self.add_later(key, pause)
        return pause

    def forget(self, key: Key) -> None:
        """The key is well (or gone): its next failure counts as the first."""
        self._failures.pop(key, None)

    async def take(self) -> Key | None:
        """The next key, to be given back by `done`; None when the queue was closed."""
        while not self._is_closed:
            next_due = self._promote()
            if self._ready:
                key = self._ready.popleft()
                waited_seconds = self._clock.monotonic() - self._since.pop(key)
                metrics.QUEUE_WAIT_SECONDS.observe(waited_seconds)
                metrics.QUEUE_DEPTH.set(len(self._ready))
                self._running.add(key)
                return key
            self._wake.clear()
            try:
                async with asyncio.timeout(next_due):
                    await self._wake.wait()
            except TimeoutError:
                continue
        return None

    def done(self, key: Key) -> None:
        self._running.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def close(self) -> None:
        """Nothing is handed out any more; who waits in `take` gets None."""
        self._is_closed = True
        self._wake.set()

    def _promote(self) -> float | None:
        """Make what is due ready; seconds until the next one is."""
        now = self._clock.monotonic()
        while self._later and self._later[0][0] <= now:
            due, key = heapq.heappop(self._later)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
        return self._later[0][0] - now if self._later else None
