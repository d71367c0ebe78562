"""Takes events from the bus and hands each to the applier of its kind: subjects side by side, the
events of one subject in order, nothing acked before it is applied. Events of a kind without an
applier are acked and counted.

While Postgres, the store or the bus is away, events are held here and kept from being delivered
elsewhere, with pauses between the tries; after `hold_seconds` they go back to the bus.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable
from typing import Protocol

import structlog
from parlance.api.recorder import loops
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.streams import Consumer
from parlance.runtime.bus import Bus, Delivery
from parlance.runtime.clock import Clock
from parlance.runtime.errors import Retryable
from prometheus_client import Counter, Gauge

_log = structlog.get_logger(__name__)
_HELD = Gauge("parlance_recorder_held_events", "Events taken from the bus and not settled yet.")
_TROUBLE = Counter("parlance_recorder_trouble", "Tries that did not apply an event.", ["kind"])
_UNKNOWN = Counter(
    "parlance_recorder_unknown_events", "Events of a kind that this version does not record."
)

PARALLEL_SUBJECTS = 16
"""Calls, tickets... worked on at the same time; each takes one database connection."""
PULL_EVENTS = 64
PULL_WAIT_SECONDS = 5.0
GATHER_SECONDS = 0.05
"""Events that come sooner after one another are waited for, so that they are taken, and written, in
one go. An event that comes alone never waits."""
FIRST_PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 10.0
RETURN_SECONDS = 30.0
"""Pause before the bus delivers again what was given back."""
MAX_DELIVERIES = 8
"""After so many deliveries an event that we cannot apply, though nothing is away, is given up."""
_Subject = tuple[str, str]
"""Kind and id."""


class Applier(Protocol):
    """What is done with the events of one kind; each area that records something has one."""

    @property
    def kind(self) -> str: ...

    def is_wanted(self, envelope: Envelope) -> bool:
        """False for what can be acked at once."""
        ...

    async def apply(self, envelope: Envelope) -> None:
        """Record it; it may have been applied before. Raises Retryable to be held, anything else
        when it cannot be applied as it is."""
        ...

    async def give_up(self, envelope: Envelope) -> None:
        """It could not be applied, however often it was tried. Raises Retryable."""
        ...


class Inbox:
    """Reads one consumer until `stopping` is set; then finishes what it holds and leaves the rest.

    It holds as many events as the bus would leave without an ack (`max_ack_pending`).
    """

    def __init__(
        self,
        bus: Bus,
        consumer: Consumer,
        appliers: Iterable[Applier],
        clock: Clock,
        stopping: asyncio.Event,
        *,
        hold_seconds: float,
        return_seconds: float = RETURN_SECONDS,
        max_deliveries: int = MAX_DELIVERIES,
    ) -> None:
        self._bus = bus
        self._consumer = consumer
        self._appliers = {str(applier.kind): applier for applier in appliers}
        self._clock = clock
        self._stopping = stopping
        self._hold_seconds = hold_seconds
        self._return_seconds = return_seconds
        self._max_deliveries = max_deliveries
        self._lanes: dict[_Subject, deque[Delivery[Envelope]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(PARALLEL_SUBJECTS)
        self._held = 0
        self._has_room = asyncio.Event()
        self.answered_at = clock.monotonic()
        """When the bus last answered a pull; the health check looks at it."""

    async def run(self) -> None:
        keeper = asyncio.create_task(self._keep_alive())
        try:
            while not self._stopping.is_set():
                asked_at = self._clock.monotonic()
                is_more_there = await self._take()
                is_soon = self._clock.monotonic() - asked_at < GATHER_SECONDS
                if is_soon and not is_more_there:
                    await loops.pause_for(GATHER_SECONDS, self._stopping)
            await self._finish()
        finally:
            keeper.cancel()
            for task in self._tasks:
                task.cancel()

    async def _take(self) -> bool:
        """Whether the bus had as many events as were asked for."""
        room = self._consumer.max_ack_pending - self._held
        if room <= 0:
            self._has_room.clear()
            await _wait_any(self._has_room, self._stopping)
            return True
        wanted = min(PULL_EVENTS, room)
        try:
            deliveries = await self._pull(wanted)
        except Retryable as fault:
            _TROUBLE.labels("pull").inc()
            await loops.pause_for(fault.delay_seconds, self._stopping)
            return True
        self.answered_at = self._clock.monotonic()
        unwanted = []
        for delivery in deliveries:
            if self._is_wanted(delivery.value):
                self._enqueue(delivery)
            else:
                unwanted.append(delivery)
        await asyncio.gather(*(_ack(delivery) for delivery in unwanted))
        return len(deliveries) == wanted

    def _is_wanted(self, envelope: Envelope) -> bool:
        applier = self._appliers.get(envelope.kind)
        if applier is None:
            _UNKNOWN.inc()
            return False
        return applier.is_wanted(envelope)

    async def _pull(self, batch: int) -> list[Delivery[Envelope]]:
        """Ends early when we are to stop; what arrives too late the bus delivers again."""
        pull = asyncio.ensure_future(
            self._bus.pull_events(self._consumer, batch=batch, wait_seconds=PULL_WAIT_SECONDS)
        )
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((pull, stop), return_when=asyncio.FIRST_COMPLETED)
            return pull.result() if pull.done() else []
        finally:
            pull.cancel()
            stop.cancel()

    def _enqueue(self, delivery: Delivery[Envelope]) -> None:
        subject = (delivery.value.kind, delivery.value.subject)
        self._hold(1)
        lane = self._lanes.get(subject)
        if lane is not None:
            lane.append(delivery)
            return
        self._lanes[subject] = deque([delivery])
        task = asyncio.create_task(self._work_off(subject))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work_off(self, subject: _Subject) -> None:
        lane = self._lanes[subject]
        while lane:
            if not await self._settle(lane[0]):
                break
            lane.popleft()
            self._hold(-1)
        # What is left was to be held no longer: all of it goes back, so that the order stays.
        del self._lanes[subject]
        self._hold(-len(lane))
        await asyncio.gather(*(_give_back(delivery, self._return_seconds) for delivery in lane))

    async def _settle(self, delivery: Delivery[Envelope]) -> bool:
        """Apply and ack. False: give it back to the bus."""
        deadline = self._clock.monotonic() + self._hold_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async with self._slots:
                    await self._apply(delivery)
            except Retryable as fault:
                _TROUBLE.labels("retryable").inc()
                _log.warning("event held", event_id=delivery.value.id, problem=str(fault))
            # Top of the loop: a defect in one event must not stop the others. It is tried on a
            # later delivery and given up in the end, which fails its call instead of losing it.
            except Exception:  # noqa: BLE001 - the reason stands above
                _TROUBLE.labels("defect").inc()
                _log.exception("event not applied", event_id=delivery.value.id)
                return False
            else:
                await _ack(delivery)
                return True
            if self._stopping.is_set() or self._clock.monotonic() + pause > deadline:
                return False
            await loops.pause_for(pause, self._stopping)
            pause = min(2 * pause, MAX_PAUSE_SECONDS)

    async def _apply(self, delivery: Delivery[Envelope]) -> None:
        applier = self._appliers[delivery.value.kind]
        try:
            await applier.apply(delivery.value)
        except Retryable:
            raise
        except Exception:
            if delivery.attempts < self._max_deliveries:
                raise
            _log.exception("event given up", event_id=delivery.value.id)
            await applier.give_up(delivery.value)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._consumer.ack_wait_seconds / 3)
            held = [delivery for lane in self._lanes.values() for delivery in lane]
            for delivery in held:
                # A lost one costs a second delivery at most, and that is harmless.
                with contextlib.suppress(Retryable):
                    await delivery.in_progress()

    async def _finish(self) -> None:
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def _hold(self, change: int) -> None:
        self._held += change
        _HELD.inc(change)
        if self._held < self._consumer.max_ack_pending:
            self._has_room.set()


async def _ack(delivery: Delivery[Envelope]) -> None:
    """An ack that does not arrive costs a second delivery, which changes nothing."""
    with contextlib.suppress(Retryable):
        await delivery.ack_unconfirmed()


async def _give_back(delivery: Delivery[Envelope], delay_seconds: float) -> None:
    with contextlib.suppress(Retryable):
        await delivery.nak(delay_seconds)


async def _wait_any(*events: asyncio.Event) -> None:
    tasks = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
