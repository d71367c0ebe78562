"""The admission window: how many more CallJobs the namespace may hold.

A control plane serves about a thousand live objects of one kind well; what exceeds that waits in
the outbox, by priority. Called by `relay`.
"""

import asyncio

from parlance.runtime.clock import Clock
from parlance.runtime.kube import Kube
from prometheus_client import Gauge

_LIVE = Gauge("parlance_live_calljobs", "Unfinished CallJobs in the namespace, as last counted.")

FRESH_SECONDS = 5.0
"""How long a count is believed while there is room."""
FULL_SECONDS = 1.0
"""How long it is believed when there is none: a finished job should soon make room."""
INLINE_SHARE = 0.9
"""The API's own fast path stops here, so that a backlog is served in its order."""


class AdmissionWindow:
    """A count that is asked for rarely and kept up to date with what was created since.

    Several processes may overshoot by what each creates within `FRESH_SECONDS`: the window is
    there to protect the control plane, not to be exact.
    """

    def __init__(self, kube: Kube, clock: Clock, *, max_live_jobs: int) -> None:
        self._kube = kube
        self._clock = clock
        self._max = max_live_jobs
        self._live = 0
        self._counted_at: float | None = None
        self._counting = asyncio.Lock()

    async def count_room(self, share: float = 1.0) -> int:
        """How many may be created now. Raises KubeUnavailable."""
        limit = max(1, int(self._max * share))
        async with self._counting:
            if self._is_stale(limit):
                self._live = await self._kube.count_live_calljobs()
                self._counted_at = self._clock.monotonic()
                _LIVE.set(self._live)
        return max(0, limit - self._live)

    def note_created(self, count: int = 1) -> None:
        self._live += count

    def _is_stale(self, limit: int) -> bool:
        if self._counted_at is None:
            return True
        believed = FRESH_SECONDS if self._live < limit else FULL_SECONDS
        return self._clock.monotonic() - self._counted_at >= believed
