"""Follows the events of all calls on the bus and folds them into what is known of each job.

Most events are acked at once: what they said can be read from the stream again. A terminal event
is kept until the status says the same, so that a crash in between brings it back.
"""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import structlog
from parlance.contracts.bus import streams
from parlance.contracts.bus.calls import EventType
from parlance.contracts.bus.envelopes import Envelope
from parlance.operator import metrics
from parlance.operator.cache import JobCache, LiveJob
from parlance.operator.planning.facts import Facts
from parlance.operator.progress import ProgressPublisher
from parlance.operator.reconcile.observe import fold_or_skip
from parlance.operator.work_queue import Key, WorkQueue
from parlance.runtime.bus import Bus, Delivery
from parlance.runtime.clock import Clock
from parlance.runtime.errors import BusUnavailable

_log = structlog.get_logger(__name__)

_BATCH = 128
_WAIT_SECONDS = 5.0
_PAUSE_SECONDS = 0.5
_UNKNOWN_WAIT_SECONDS = 2.0
_UNKNOWN_AGE = timedelta(seconds=10)
"""An event this young may be faster than our watch; an older one is of a job that is gone."""
_OWN_TYPES = (EventType.QUEUED, EventType.PROGRESS)

Settling = Coroutine[Any, Any, None]
"""The ack or nak of a delivery, not yet sent."""


class Follower:
    """One per process; two operators share the durable consumer, each then sees some events."""

    def __init__(
        self,
        *,
        bus: Bus,
        cache: JobCache,
        queue: WorkQueue,
        progress: ProgressPublisher,
        clock: Clock,
    ) -> None:
        self._bus = bus
        self._cache = cache
        self._queue = queue
        self._progress = progress
        self._clock = clock

    async def follow(self) -> None:
        """Runs until cancelled."""
        while True:
            try:
                deliveries = await self._bus.pull_events(
                    streams.OPERATOR, batch=_BATCH, wait_seconds=_WAIT_SECONDS
                )
                await self._take_in(deliveries)
            except BusUnavailable as exc:
                _log.debug("bus events interrupted", problem=str(exc))
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _take_in(self, deliveries: list[Delivery[Envelope]]) -> None:
        """Fold in order, then settle all at once: each ack costs the server an fsync."""
        settling = [self._settle(delivery) for delivery in deliveries]
        await asyncio.gather(*(settle for settle in settling if settle is not None))

    def _settle(self, delivery: Delivery[Envelope]) -> Settling | None:
        event = delivery.value
        metrics.EVENTS_FOLDED.labels(event.type).inc()
        key = self._cache.find_key(event.subject)
        live = self._cache.get(key) if key else None
        if key is None:
            return self._put_off(delivery)
        if not isinstance(live, LiveJob):
            return delivery.ack()
        return self._fold(key, live, delivery)

    def _put_off(self, delivery: Delivery[Envelope]) -> Settling | None:
        event = delivery.value
        is_own = event.type in _OWN_TYPES
        if not is_own and self._clock.now() - event.timestamp < _UNKNOWN_AGE:
            return delivery.nak(_UNKNOWN_WAIT_SECONDS)
        return delivery.ack()

    def _fold(self, key: Key, live: LiveJob, delivery: Delivery[Envelope]) -> Settling | None:
        before = live.facts
        live.facts = fold_or_skip(before, delivery.value, heard_at=self._clock.now())
        if live.facts.verdict is not None:
            self._queue.add(key)
            if before.verdict is None:
                live.verdicts.append(delivery)
                return None
        elif _is_shown_at_once(before, live.facts):
            self._queue.add(key)
        if has_advanced(before, live.facts):
            self._progress.note(key)
        return delivery.ack()


def _is_shown_at_once(before: Facts, after: Facts) -> bool:
    return (after.started_at is not None and before.started_at is None) or (
        (after.attempt, after.stage, after.waiting)
        != (before.attempt, before.stage, before.waiting)
    )


def has_advanced(before: Facts, after: Facts) -> bool:
    """Whether clients are told. Not of an attempt that has just begun: its worker may go on where
    an earlier one was, and has perhaps said so already."""
    if after.processed_seconds == 0:
        return False
    return (after.percent, after.stage, after.processed_seconds) != (
        before.percent,
        before.stage,
        before.processed_seconds,
    )
