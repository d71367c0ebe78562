"""The worker's main loop: messages in as slots get free, running calls, the drain at the end.

An empty bus is asked by long polls on all lanes; while there is work, each free slot asks the
lanes in weighted order. A poll that is under way has a slot set aside for what it may bring.
"""

import asyncio
import time
from collections.abc import Sequence

import structlog
from parlance.contracts.bus.calls import CallDispatch
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.bus.streams import LANE_WEIGHTS
from parlance.contracts.calls import Priority
from parlance.contracts.ids import CallId
from parlance.inference.worker import control, lanes, metrics
from parlance.inference.worker.call import Tools
from parlance.inference.worker.ports import CallBus, CallDelivery
from parlance.inference.worker.runner import CallRunner
from parlance.runtime import tasks
from parlance.runtime.clock import Clock
from parlance.runtime.errors import BusUnavailable

_log = structlog.get_logger(__name__)

_POLL_SECONDS = 5.0
_SHORT_POLL_SECONDS = 0.5
"""With too few free slots for a poll on each lane: how long one lane may hold up the others."""
_AWAY_SECONDS = 0.5
_STALE_TURN_SECONDS = 60.0
_LAG_TICK_SECONDS = 1.0
LAST_WORDS_SECONDS = 5.0
"""For handing calls back at the end; without a bus they come again by themselves."""

_Pull = asyncio.Task[Sequence[CallDelivery]]


class WorkerLoop:
    """All calls of one worker process."""

    def __init__(self, bus: CallBus, tools: Tools, clock: Clock, *, slots: int) -> None:
        self._bus = bus
        self._tools = tools
        self._clock = clock
        self._slots = slots
        self._kept_slots = lanes.plan_kept_slots(slots)
        self._running: dict[asyncio.Task[None], CallRunner] = {}
        self._polls: dict[_Pull, Priority] = {}
        self._early: list[tuple[str, CallDelivery]] = []
        """Came for calls whose run here is just ending, and of which stream."""
        self._preferences = lanes.iter_preferences(LANE_WEIGHTS)
        self._turned_at = time.monotonic()

    async def run(
        self,
        stopping: asyncio.Event,
        *,
        drain_seconds: float,
        last_words_seconds: float = LAST_WORDS_SECONDS,
    ) -> None:
        """Work until `stopping`, then end what runs, in order."""
        stop = asyncio.create_task(stopping.wait(), name="stopping")
        lag = asyncio.create_task(_measure_lag(), name="lag")
        try:
            async with control.watched(self._bus, self._heed):
                while not stopping.is_set():
                    await self._turn(stop)
                await self._drain(drain_seconds, last_words_seconds)
        finally:
            await tasks.end(stop, lag, *self._polls, *self._running)

    def find_problem(self) -> str | None:
        """Why this loop should be restarted; None while it turns."""
        age_seconds = time.monotonic() - self._turned_at
        return f"no turn for {age_seconds:.0f} s" if age_seconds > _STALE_TURN_SECONDS else None

    # --- turns ------------------------------------------------------------------------------

    async def _turn(self, stop: asyncio.Task[bool]) -> None:
        self._turned_at = time.monotonic()
        try:
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

    def _may_ask(self, lane: Priority) -> bool:
        """Whether the lane has no poll yet and leaves the lanes above it their slots."""
        kept = self._kept_slots[lane]
        below = sum(self._kept_slots[polled] > kept for polled in self._polls.values())
        is_room = len(self._running) + below < self._slots - kept and self._free_slots() > 0
        return is_room and lane not in self._polls.values()

    async def _sweep(self) -> bool:
        """Ask the lanes once, in their weighted order; True when there was a message."""
        for lane in next(self._preferences):
            if self._may_ask(lane) and await self._take(
                await self._bus.pull_jobs(CallDispatch, lane, batch=1, wait_seconds=0.0)
            ):
                return True
        return False

    def _start_polls(self) -> None:
        """Wait on every lane that may take a slot. With too few slots for all of them each wait
        is short, or one lane would keep the others from being asked."""
        is_enough = self._free_slots() >= len(LANE_WEIGHTS) - len(self._polls)
        wait_seconds = _POLL_SECONDS if is_enough else _SHORT_POLL_SECONDS
        for lane in LANE_WEIGHTS:
            if self._may_ask(lane):
                pull = self._bus.pull_jobs(CallDispatch, lane, batch=1, wait_seconds=wait_seconds)
                self._polls[asyncio.create_task(pull, name=f"poll {lane}")] = lane

    async def _take_polled(self) -> None:
        for poll in [poll for poll in self._polls if poll.done()]:
            del self._polls[poll]
            await self._take(poll.result())
        await self._take(self._take_early())

    async def _take(self, deliveries: Sequence[CallDelivery]) -> bool:
        for delivery in deliveries:
            runner = self._find(delivery.value.call_id)
            if runner is None:
                self._start(CallRunner(self._bus, self._tools, self._clock, delivery))
            elif not await runner.adopt(delivery):
                self._early.append((self._bus.jobs_epoch, delivery))
        return bool(deliveries)

    def _take_early(self) -> list[CallDelivery]:
        """Without those of a stream that was lost: there is another message in their place now."""
        early, self._early = self._early, []
        return [delivery for epoch, delivery in early if epoch == self._bus.jobs_epoch]

    def _start(self, runner: CallRunner) -> None:
        task = asyncio.create_task(self._run(runner), name=f"run {runner.call_id}")
        self._running[task] = runner
        task.add_done_callback(self._running.pop)

    async def _run(self, runner: CallRunner) -> None:
        try:
            await runner.run()
        except Exception:  # noqa: BLE001
            # A runner answers for everything; what gets here is its own bug. The message comes
            # again after its ack wait.
            metrics.FAULTS.labels("runner").inc()
            _log.exception("runner failed")

    # --- notes and the end ------------------------------------------------------------------

    def _find(self, call_id: CallId | str) -> CallRunner | None:
        return next((r for r in self._running.values() if r.call_id == call_id), None)

    def _heed(self, job_id: str, action: ControlAction) -> None:
        runner = self._find(job_id)
        if runner is not None:
            runner.heed(action)

    async def _drain(self, drain_seconds: float, last_words_seconds: float) -> None:
        """Give back what the last polls bring, let calls finish, hand back the rest."""
        _log.info("draining", running=len(self._running), seconds=drain_seconds)
        await self._give_back_polled()
        if self._running:
            await asyncio.wait(self._running, timeout=drain_seconds)
        for runner in self._running.values():
            runner.drain()
        if self._running:
            await asyncio.wait(self._running, timeout=last_words_seconds)

    async def _give_back_polled(self) -> None:
        """What a poll still brings is for others. A cancelled one loses nothing: the bus keeps
        what arrives late and gives it back when it is closed."""
        polls = list(self._polls)
        self._polls.clear()
        for poll in polls:
            poll.cancel()
        for result in await asyncio.gather(*polls, return_exceptions=True):
            if not isinstance(result, BaseException):
                for delivery in result:
                    await delivery.nak(0.0)
        for delivery in self._take_early():
            await delivery.nak(0.0)


async def _measure_lag() -> None:
    """How late the event loop is: a blocked loop loses leases."""
    while True:
        started = time.monotonic()
        await asyncio.sleep(_LAG_TICK_SECONDS)
        metrics.LOOP_LAG_SECONDS.set(time.monotonic() - started - _LAG_TICK_SECONDS)
