"""Publishes `call.progress`: for each job that advanced, at most once per second."""

import asyncio

import structlog
from parlance.operator.bus_state import BusState
from parlance.operator.cache import JobCache, LiveJob
from parlance.operator.planning import outgoing
from parlance.operator.work_queue import Key
from parlance.runtime.bus import Bus
from parlance.runtime.clock import Clock
from parlance.runtime.errors import BusUnavailable

_log = structlog.get_logger(__name__)
_PERIOD_SECONDS = 1.0
_AT_ONCE = 32


class ProgressPublisher:
    """Collects keys and publishes their newest state; what falls between is never sent."""

    def __init__(self, *, bus: Bus, bus_state: BusState, cache: JobCache, clock: Clock) -> None:
        self._bus = bus
        self._bus_state = bus_state
        self._cache = cache
        self._clock = clock
        self._advanced: set[Key] = set()
        self._slots = asyncio.Semaphore(_AT_ONCE)

    def note(self, key: Key) -> None:
        self._advanced.add(key)

    async def publish_forever(self) -> None:
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(_PERIOD_SECONDS)
            advanced, self._advanced = self._advanced, set()
            if self._bus_state.created is not None:
                await asyncio.gather(*(self._publish(key) for key in advanced))

    async def _publish(self, key: Key) -> None:
        live = self._cache.get(key)
        if not isinstance(live, LiveJob) or live.facts.verdict is not None:
            return  # the terminal event says it all
        event = outgoing.build_progress(live.job, live.facts, now=self._clock.now())
        try:
            async with self._slots:
                await self._bus.publish_event(event)
        except BusUnavailable as exc:
            _log.debug("progress not published", key=key, problem=str(exc))
