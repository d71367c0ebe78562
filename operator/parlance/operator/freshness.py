"""Proof that the operator still sees and hears: what liveness and readiness rest on.

A watch can go deaf while its process looks well, and no library tells. So a list now and then
shows what the watch should have brought: a change that a list has shown and the watch has not is a
debt, and the age of the oldest debt is the watch's lag. An idle cluster owes nothing.
"""

from parlance.operator import metrics
from parlance.operator.settings import OperatorSettings
from parlance.operator.work_queue import Key
from parlance.runtime.clock import Clock

_LATE_TICKS = 4


class Freshness:
    """Filled by watch, resync, ticker and bus state; read by the health endpoint."""

    def __init__(self, settings: OperatorSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._debts: dict[Key, tuple[int, float]] = {}
        """Version that the watch owes, and since when."""
        started = clock.monotonic()
        self._ticked = started
        self._bus_heard = started
        self.is_loaded = False
        """Whether the first list is in the cache."""
        self.is_watching = False
        """Whether kopf runs."""

    def note_owed(self, key: Key, version: int) -> None:
        """A list showed a version that the watch has not brought."""
        self._debts.setdefault(key, (version, self._clock.monotonic()))

    def note_watched(self, key: Key, version: int) -> None:
        """The watch brought this version, or the object's end."""
        debt = self._debts.get(key)
        if debt is not None and version >= debt[0]:
            del self._debts[key]

    def note_gone(self, key: Key) -> None:
        self._debts.pop(key, None)

    def note_tick(self) -> None:
        self._ticked = self._clock.monotonic()
        metrics.WATCH_LAG_SECONDS.set(self.watch_lag_seconds())

    def note_bus(self) -> None:
        self._bus_heard = self._clock.monotonic()

    def bus_silence_seconds(self) -> float:
        return self._clock.monotonic() - self._bus_heard

    def watch_lag_seconds(self) -> float:
        now = self._clock.monotonic()
        return max((now - since for _, since in self._debts.values()), default=0.0)

    async def live(self) -> dict[str, str]:
        """Problems that a restart may cure."""
        now = self._clock.monotonic()
        settings = self._settings
        problems = {}
        if (lag := self.watch_lag_seconds()) > settings.max_watch_lag_seconds:
            problems["watch"] = f"owes a change for {lag:.0f} s"
        if (age := now - self._ticked) > _LATE_TICKS * settings.tick_seconds:
            problems["ticker"] = f"last tick {age:.0f} s ago"
        if (age := self.bus_silence_seconds()) > settings.max_bus_silence_seconds:
            problems["bus"] = f"last answer {age:.0f} s ago"
        return problems

    async def ready(self) -> dict[str, str]:
        """Problems that time cures."""
        problems = await self.live()
        if not self.is_loaded:
            problems["cache"] = "the first list is not in yet"
        if not self.is_watching:
            problems["watch"] = "not started"
        return problems
