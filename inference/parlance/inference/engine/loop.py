"""The worker's main loop: messages in as slots get free, running work, the drain at the end.

An empty bus is asked by long polls on all lanes; while there is work, each free slot asks the
lanes in weighted order. A poll that is under way has a slot set aside for what it may bring.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import structlog
from parlance.contracts.bus.jobs import ControlAction, Dispatch
from parlance.contracts.bus.streams import LANE_WEIGHTS
from parlance.contracts.calls import Priority
from parlance.inference.engine import control, lanes, metrics
from parlance.inference.engine.kinds import WorkKind
from parlance.inference.engine.patience import Patience
from parlance.inference.engine.ports import JobDelivery, WorkBus
from parlance.inference.engine.runner import Runner
from parlance.runtime import tasks
from parlance.runtime.clock import Clock
from parlance.runtime.errors import BusUnavailable

_log = structlog.get_logger(__name__)

_POLL_SECONDS = 5.0
_SHORT_POLL_SECONDS = 0.5
"""With too few free slots for a poll on each lane: how long one lane may hold up the others."""
_AWAY_SECONDS = 0.5
_STALE_TURN_SECONDS = 60.0
_DRAIN_TURN_SECONDS = 1.0
_LAG_TICK_SECONDS = 1.0
_GATHER_SECONDS = 0.025
"""While lanes of short work are backed up, slots are filled so often, several with one question."""
_REMEMBERED_NOTES = 10_000
HANDOVER_SECONDS = 5.0
"""For handing work back at the end; without a bus it comes again by itself."""


class Lane(NamedTuple):
    """One queue of JOBS: the work of one kind and priority."""

    kind: WorkKind[Any]
    priority: Priority


class Arrival(NamedTuple):
    """A message and the lane that brought it."""

    kind: WorkKind[Any]
    delivery: JobDelivery[Dispatch]
    epoch: str
    """Of the stream it came from."""


_Pull = asyncio.Task[Sequence[JobDelivery[Dispatch]]]


class WorkerLoop:
    """All work of one worker process."""

    def __init__(
        self,
        bus: WorkBus,
        kinds: Sequence[WorkKind[Any]],
        clock: Clock,
        patience: Patience,
        *,
        slots: int,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._patience = patience
        self._slots = slots
        self._kept_slots = lanes.plan_kept_slots(slots)
        self._lanes = [Lane(kind, priority) for kind in kinds for priority in LANE_WEIGHTS]
        self._preferences = lanes.iter_preferences(
            {lane: LANE_WEIGHTS[lane.priority] for lane in self._lanes}
        )
        self._running: dict[asyncio.Task[None], Runner[Any]] = {}
        self._polls: dict[_Pull, Lane] = {}
        self._postponed: list[Arrival] = []
        """Messages for work whose run here is concluding and adopts nothing more."""
        self._cancelled: dict[str, None] = {}
        """Subjects of the latest notes that cancel, oldest first."""
        self._is_backed_up = False
        """Whether the last sweep brought short work for every slot it had."""
        self._turned_at = clock.monotonic()

    async def run(
        self,
        stopping: asyncio.Event,
        *,
        drain_seconds: float,
        handover_seconds: float = HANDOVER_SECONDS,
    ) -> None:
        """Work until `stopping`, then end what runs, in order."""
        stop = asyncio.create_task(stopping.wait(), name="stopping")
        lag = asyncio.create_task(_measure_lag(), name="lag")
        try:
            async with control.watched(self._bus, self._pass_note_on):
                while not stopping.is_set():
                    await self._turn(stop)
                await self._drain(drain_seconds, handover_seconds)
        finally:
            await tasks.end(stop, lag, *self._polls, *self._running)

    def find_problem(self) -> str | None:
        """Why this loop should be restarted; None while it turns."""
        age_seconds = self._clock.monotonic() - self._turned_at
        return f"no turn for {age_seconds:.0f} s" if age_seconds > _STALE_TURN_SECONDS else None

    # --- turns ------------------------------------------------------------------------------

    async def _turn(self, stop: asyncio.Task[bool]) -> None:
        self._turned_at = self._clock.monotonic()
        try:
            if self._is_backed_up:
                await asyncio.wait([stop], timeout=_GATHER_SECONDS)
                self._is_backed_up = False
            await self._take_polled()
            if self._free_slots() > 0 and await self._sweep():
                return
        except BusUnavailable as exc:
            _log.warning("no work can be fetched", error=str(exc))
            await asyncio.wait([stop], timeout=_AWAY_SECONDS)
            return
        self._start_polls()
        await asyncio.wait(
            [stop, *self._polls, *self._running],
            timeout=_POLL_SECONDS,
            return_when=asyncio.FIRST_COMPLETED,
        )

    def _free_slots(self) -> int:
        return self._slots - len(self._running) - len(self._polls)

    def _may_ask(self, lane: Lane) -> bool:
        """Whether the worker can do work of the lane, and the lane has no poll yet and leaves the
        lanes above it their slots."""
        if lane.kind.find_problem() is not None or lane in self._polls.values():
            return False
        return self._count_room(lane) > 0

    def _count_room(self, lane: Lane) -> int:
        """How many messages of the lane find a slot."""
        kept = self._kept_slots[lane.priority]
        below = sum(self._kept_slots[polled.priority] > kept for polled in self._polls.values())
        return min(self._slots - kept - len(self._running) - below, self._free_slots())

    async def _sweep(self) -> bool:
        """Ask the lanes once, in their weighted order; True when there was a message."""
        for lane in next(self._preferences):
            if not self._may_ask(lane):
                continue
            # Long work comes one by one, so that workers share it.
            batch = self._count_room(lane) if lane.kind.starts_anew else 1
            deliveries = await self._pull(lane, 0.0, batch=batch)
            if await self._take(lane.kind, deliveries):
                self._is_backed_up = lane.kind.starts_anew and len(deliveries) == batch
                return True
        return False

    def _start_polls(self) -> None:
        """Wait on every lane that may take a slot. With too few slots for all of them each wait
        is short, or one lane would keep the others from being asked."""
        is_enough = self._free_slots() >= len(self._lanes) - len(self._polls)
        wait_seconds = _POLL_SECONDS if is_enough else _SHORT_POLL_SECONDS
        for lane in self._lanes:
            if self._may_ask(lane):
                name = f"poll {lane.kind.dispatch_type.kind}.{lane.priority}"
                self._polls[asyncio.create_task(self._pull(lane, wait_seconds), name=name)] = lane

    async def _pull(
        self, lane: Lane, wait_seconds: float, *, batch: int = 1
    ) -> Sequence[JobDelivery[Dispatch]]:
        expected: type[Dispatch] = lane.kind.dispatch_type
        return await self._bus.pull_jobs(
            expected, lane.priority, batch=batch, wait_seconds=wait_seconds
        )

    async def _take_polled(self) -> None:
        for poll in [poll for poll in self._polls if poll.done()]:
            lane = self._polls.pop(poll)
            await self._take(lane.kind, poll.result())
        for arrival in self._take_postponed():
            await self._take(arrival.kind, [arrival.delivery])

    async def _take(self, kind: WorkKind[Any], deliveries: Sequence[JobDelivery[Dispatch]]) -> bool:
        for delivery in deliveries:
            runner = self._find(kind, delivery.value)
            if runner is None:
                runner = Runner(self._bus, kind, self._clock, self._patience, delivery)
                if kind.starts_anew and delivery.value.subject_id in self._cancelled:
                    runner.stop(ControlAction.CANCEL)
                self._start(runner)
            elif not await runner.adopt(delivery):
                self._postponed.append(Arrival(kind, delivery, self._bus.jobs_epoch))
        return bool(deliveries)

    def _find(self, kind: WorkKind[Any], dispatch: Dispatch) -> Runner[Any] | None:
        """Who runs the same work here already."""
        key = kind.dispatch_type, dispatch.subject_id
        return next(
            (
                runner
                for runner in self._running.values()
                if (type(runner.dispatch), runner.dispatch.subject_id) == key
            ),
            None,
        )

    def _take_postponed(self) -> list[Arrival]:
        """Without those of a stream that was lost: there is another message in their place now."""
        postponed, self._postponed = self._postponed, []
        return [arrival for arrival in postponed if arrival.epoch == self._bus.jobs_epoch]

    def _start(self, runner: Runner[Any]) -> None:
        task = asyncio.create_task(self._run(runner), name=f"run {runner.dispatch.subject_id}")
        self._running[task] = runner
        task.add_done_callback(self._running.pop)

    async def _run(self, runner: Runner[Any]) -> None:
        try:
            await runner.run()
        except Exception:  # noqa: BLE001
            # A runner answers for everything; what gets here is its own bug. The message comes
            # again after its ack wait.
            metrics.FAULTS.labels("runner").inc()
            _log.exception("runner failed")

    # --- notes and the end ------------------------------------------------------------------

    def _pass_note_on(self, job_id: str, action: ControlAction) -> None:
        if action is ControlAction.CANCEL:
            self._cancelled[job_id] = None
            if len(self._cancelled) > _REMEMBERED_NOTES:
                del self._cancelled[next(iter(self._cancelled))]
        for runner in list(self._running.values()):
            if runner.dispatch.subject_id == job_id:
                runner.stop(action)

    async def _drain(self, drain_seconds: float, handover_seconds: float) -> None:
        """Give back what the last polls bring, let work finish, hand back the rest."""
        _log.info("draining", running=len(self._running), seconds=drain_seconds)
        await self._give_back_polled()
        await self._wait_for_running(drain_seconds)
        for runner in self._running.values():
            runner.drain()
        await self._wait_for_running(handover_seconds)

    async def _wait_for_running(self, seconds: float) -> None:
        """Until all work has ended, or for so long. Turns meanwhile: whoever drains is alive."""
        now = asyncio.get_running_loop().time
        give_up_at = now() + seconds
        while self._running and (left := give_up_at - now()) > 0:
            self._turned_at = self._clock.monotonic()
            await asyncio.wait(self._running, timeout=min(left, _DRAIN_TURN_SECONDS))

    async def _give_back_polled(self) -> None:
        """What a poll still brings is for others, and at once: a drain may take minutes. The bus
        keeps what arrives for a poll that was cancelled, until it is told to give it back."""
        polls = list(self._polls)
        self._polls.clear()
        for poll in polls:
            poll.cancel()
        results = await asyncio.gather(*polls, return_exceptions=True)
        polled = [
            delivery
            for result in results
            if not isinstance(result, BaseException)
            for delivery in result
        ]
        postponed = [arrival.delivery for arrival in self._take_postponed()]
        await asyncio.gather(*map(_give_back, [*polled, *postponed]))
        await self._bus.stop_pulling()


async def _give_back(delivery: JobDelivery[Dispatch]) -> None:
    """If that fails, the message comes again after its ack wait; others are still given back."""
    try:
        await delivery.nak(0.0)
    except BusUnavailable as exc:
        _log.warning("not given back", subject=delivery.value.subject_id, error=str(exc))


async def _measure_lag() -> None:
    """How late the event loop is: a blocked loop loses leases."""
    while True:
        started = time.monotonic()
        await asyncio.sleep(_LAG_TICK_SECONDS)
        metrics.LOOP_LAG_SECONDS.set(time.monotonic() - started - _LAG_TICK_SECONDS)
