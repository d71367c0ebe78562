"""The admission window: how many more pieces of work of one kind may be outside at once.

A control plane serves about a thousand live objects of one kind well; what exceeds that waits in
the outbox, by priority. Used by the handlers of kinds that are limited (`domain.calls.jobs`).
"""

import asyncio
from collections.abc import Awaitable, Callable

from parlance.runtime.clock import Clock

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

    def __init__(
        self, count_live: Callable[[], Awaitable[int]], clock: Clock, *, max_live: int
    ) -> None:
        self._count_live = count_live
        self._clock = clock
        self._max = max_live
        self._live = 0
        self._counted_at: float | None = None
        self._counting = asyncio.Lock()

    async def count_room(self, *, is_inline: bool = False) -> int:
        """How many may be created now. Raises what counting raises."""
        limit = max(1, int(self._max * INLINE_SHARE)) if is_inline else self._max
        async with self._counting:
            if self._is_stale(limit):
                self._live = await self._count_live()
                self._counted_at = self._clock.monotonic()
        return max(0, limit - self._live)

    def note_created(self) -> None:
        self._live += 1

    def _is_stale(self, limit: int) -> bool:
        if self._counted_at is None:
            return True
        believed = FRESH_SECONDS if self._live < limit else FULL_SECONDS
        return self._clock.monotonic() - self._counted_at >= believed
