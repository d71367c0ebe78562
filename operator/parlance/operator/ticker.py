"""The one clock of the operator: looks at everything again, so that no lost event matters.

Every tick each unfinished job gets a reconcile (which costs nothing when there is nothing to do),
and what is due for removal is queued. Deadlines, stalls and times to live rest on this alone.
"""

import asyncio
from collections import Counter

import structlog
from parlance.contracts.crs.meta import Phase
from parlance.operator import metrics
from parlance.operator.cache import JobCache
from parlance.operator.freshness import Freshness
from parlance.operator.reconcile.apply import Applier
from parlance.operator.work_queue import WorkQueue
from parlance.runtime.clock import Clock
from parlance.runtime.errors import BusUnavailable

_log = structlog.get_logger(__name__)

_REMOVALS_PER_TICK = 500
"""A day's worth of finished jobs that expires at once must not hold up dispatches."""


class Ticker:
    """One per process."""

    def __init__(
        self,
        *,
        cache: JobCache,
        queue: WorkQueue,
        applier: Applier,
        freshness: Freshness,
        clock: Clock,
        period_seconds: float,
    ) -> None:
        self._cache = cache
        self._queue = queue
        self._applier = applier
        self._freshness = freshness
        self._clock = clock
        self._period_seconds = period_seconds

    async def tick_forever(self) -> None:
        """Runs until cancelled."""
        while True:
            self.tick()
            await self._catch_up()
            await asyncio.sleep(self._period_seconds)

    def tick(self) -> None:
        self._queue_live()
        self._queue_expired()
        self._count()
        self._freshness.note_tick()

    def start_over(self) -> None:
        """The bus is another one: everything unfinished is dispatched again, at once."""
        self._cache.forget_facts()
        self._queue_live()

    def _queue_live(self) -> None:
        for key, _ in self._cache.iterate_live():
            self._queue.add(key)

    def _queue_expired(self) -> None:
        now = self._clock.now()
        expired = [key for key, job in self._cache.iterate_finished() if job.expires_at <= now]
        metrics.GC_BACKLOG.set(len(expired))
        for key in expired[:_REMOVALS_PER_TICK]:
            self._queue.add(key)

    def _count(self) -> None:
        phases = Counter({phase.value: 0 for phase in Phase})
        phases.update(
            live.job.status.phase or Phase.PENDING for _, live in self._cache.iterate_live()
        )
        phases.update(job.phase for _, job in self._cache.iterate_finished())
        for phase, count in phases.items():
            metrics.JOBS.labels(metrics.KIND, phase).set(count)

    async def _catch_up(self) -> None:
        try:
            await self._applier.take_deferred()
        except BusUnavailable as exc:
            _log.debug("deferred steps wait", problem=str(exc))
