"""Whether the bus answers, and whether it is still the same bus.

Reconciles ask here first, so that an outage costs each of them nothing instead of a timeout. A
JOBS stream with another creation time means that all of NATS was lost: then every unfinished job
is dispatched again at once.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

import structlog
from parlance.operator.freshness import Freshness
from parlance.runtime.bus import Bus
from parlance.runtime.clock import Clock
from parlance.runtime.errors import BusUnavailable

_log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.5
"""How soon a lost or regained connection is noticed."""
_ASK_EVERY = 10
"""Ask for the stream at every tenth look while all is well."""
_OUTAGE_SECONDS = 2 * _ASK_EVERY * _LOOK_SECONDS
"""A silence that is longer than between two questions, and then some."""


class BusState:
    """Kept current by `follow`."""

    def __init__(self, bus: Bus, freshness: Freshness, clock: Clock) -> None:
        self._bus = bus
        self._freshness = freshness
        self._clock = clock
        self.on_rebuilt: Callable[[], None] = _do_nothing
        """Called when the stream is another one than before."""
        self._created: str | None = None
        self._last_created = ""
        self._looks = 0
        self._up = asyncio.Event()
        self.back_at: datetime | None = None
        """When the bus answered for the first time, or again after its last outage. Until then no
        worker could be heard, however well it was."""

    @property
    def created(self) -> str | None:
        """Creation time of JOBS; None while the bus is away."""
        return self._created if self._bus.is_connected else None

    @property
    def silence_seconds(self) -> float:
        """Since the last answer."""
        return self._freshness.bus_silence_seconds()

    def mark_down(self) -> None:
        """Somebody got no answer: nobody else needs to try until the next look."""
        self._created = None
        self._up.clear()

    async def wait_until_up(self, timeout_seconds: float) -> bool:
        """Whether the bus answers, as soon as it does."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._up.wait()
        except TimeoutError:
            return False
        return True

    async def follow(self) -> None:
        """Runs until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """One look; asks the server now and then, or when it was away."""
        if not self._bus.is_connected:
            self.mark_down()
        elif self._created is None or self._looks % _ASK_EVERY == 0:
            await self._ask()
        self._looks += 1

    async def _ask(self) -> None:
        try:
            created = await self._bus.jobs_created()
        except BusUnavailable:
            self.mark_down()
            return
        if self.back_at is None or self.silence_seconds > _OUTAGE_SECONDS:
            self.back_at = self._clock.now()
        self._freshness.note_bus()
        self._up.set()
        was, self._created, self._last_created = self._last_created, created, created
        if was != created:
            _log.info("bus found", stream_created=created, before=was)
        if was and was != created:
            self.on_rebuilt()


def _do_nothing() -> None:
    pass
