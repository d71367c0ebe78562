"""One message: from its arrival to its ack, nak or term.

Holds the lease, listens for stop requests, starts the work and turns however it ended into an
event and an answer to the bus, in that order: a message is never taken from the queue before the
event that says why is stored.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog
from parlance.contracts.bus.jobs import ControlAction, Dispatch
from parlance.contracts.crs.meta import Reason
from parlance.inference.engine import details, endings, metrics
from parlance.inference.engine.endings import (
    Crashed,
    Ending,
    Finished,
    HandedBack,
    Rejected,
    Settled,
    Stopped,
)
from parlance.inference.engine.history import History
from parlance.inference.engine.kinds import Run, Task, WorkKind
from parlance.inference.engine.lease import Lease
from parlance.inference.engine.patience import Patience
from parlance.inference.engine.ports import JobDelivery, WorkBus
from parlance.inference.engine.reporter import Reporter
from parlance.inference.engine.signs import QUIET_SECONDS, Signs
from parlance.inference.engine.waits import Waits
from parlance.runtime import tasks
from parlance.runtime.clock import Clock
from parlance.runtime.errors import BusUnavailable, Permanent

_log = structlog.get_logger(__name__)

D = TypeVar("D", bound=Dispatch)

PAUSED_DELAY_SECONDS = 30.0
DOUBT_SECONDS = 1.5 * QUIET_SECONDS
"""A worker that lives is never silent for so long."""
_CANCELLED = Stopped("Cancelled on request.")
_SUPERSEDED = Settled("A later attempt with another input has come.")
_PAUSED = HandedBack(Reason.SUSPENDED, "Suspended on request.", PAUSED_DELAY_SECONDS)
_DRAINED = HandedBack(Reason.RETRYING, "The worker is shutting down.", delay_seconds=0.0)


class Runner(Generic[D]):
    """Runs one piece of work once."""

    def __init__(
        self,
        bus: WorkBus,
        kind: WorkKind[D],
        clock: Clock,
        patience: Patience,
        delivery: JobDelivery[D],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._bus = bus
        self._kind = kind
        self._lease = Lease(bus, delivery)
        self._number = delivery.attempts
        """Of the run, by which its events name it: the delivery that it begins with."""
        self._reporter = Reporter(bus, self._lease, kind.events, clock, patience, run=self._number)
        waits = Waits(clock)
        self._signs = Signs(self._reporter, waits, clock)
        self._run = Run(
            lease=self._lease,
            reporter=self._reporter,
            signs=self._signs,
            waits=waits,
            patience=patience.noted_in(waits),
            taken_at=time.monotonic(),
        )
        self._sleep = sleep
        self._history = History(delivery.value)
        self._task: Task | None = None
        """The one built last."""
        self._is_claimed = False
        self._is_past_known = False
        self._work: asyncio.Task[Ending] | None = None
        self._stop_ending: Ending | None = None
        self._announcements: set[asyncio.Task[None]] = set()
        self._is_concluding = False

    @property
    def dispatch(self) -> D:
        return self._lease.dispatch

    # --- from outside -----------------------------------------------------------------------

    async def adopt(self, newer: JobDelivery[D]) -> bool:
        """A message came for the work that runs here: go on under it. False when the run is about
        to answer the one it has; the newer one then needs a run of its own."""
        if self._is_concluding:
            return False
        if self._kind.starts_anew and newer.value.attempt > self.dispatch.attempt:
            self._interrupt(_SUPERSEDED)
            return False
        metrics.ADOPTIONS.inc()
        if await self._lease.adopt(newer):
            # Not awaited: the loop that brought the message has others to serve.
            announcement = asyncio.create_task(self._announce_again(), name="announcement")
            self._announcements.add(announcement)
            announcement.add_done_callback(self._announcements.discard)
        return True

    async def _announce_again(self) -> None:
        try:
            await self._reporter.announce_again()
        except BusUnavailable as exc:
            _log.warning("attempt not announced", error=str(exc))

    def stop(self, action: ControlAction) -> None:
        """End the run as a control note asks."""
        self._interrupt(_CANCELLED if action is ControlAction.CANCEL else _PAUSED)

    def drain(self) -> None:
        """Hand the work back to whoever takes it next."""
        self._interrupt(_DRAINED)

    def _interrupt(self, ending: Ending) -> None:
        if self._stop_ending is not None:
            return
        self._stop_ending = ending
        if self._work is not None:
            self._work.cancel()

    # --- the run ----------------------------------------------------------------------------

    async def run(self) -> Ending:
        """Never raises but for cancellation; what went wrong is in the ending."""
        if self._number > 1:
            metrics.REDELIVERIES.inc()
        name = {self.dispatch.kind.value: self.dispatch.subject_id}
        with (
            structlog.contextvars.bound_contextvars(**name),
            metrics.RUNNING.track_inprogress(),
        ):
            async with self._lease.kept_alive():
                ending = await self._work_until_stopped()
                self._is_concluding = True
                await tasks.end(*self._announcements)
                await self._conclude(ending)
        metrics.RUNS.labels(type(ending).__name__.lower()).inc()
        return ending

    async def _work_until_stopped(self) -> Ending:
        if self._stop_ending is not None:
            return self._stop_ending
        self._work = asyncio.create_task(self._attempt(), name=f"work {self.dispatch.subject_id}")
        try:
            await asyncio.wait([self._work])
        finally:
            await tasks.end(self._work)
        if self._work.cancelled():
            return self._stop_ending or _DRAINED
        return self._work.result()

    async def _attempt(self) -> Ending:
        try:
            return await self._do()
        except Exception as exc:  # noqa: BLE001
            # Top of a run: whatever it is, the message must get an answer.
            ending = endings.plan_ending(exc, self._kind.plan_ending)
            if isinstance(ending, Crashed):
                metrics.FAULTS.labels("run").inc()
                _log.exception("run crashed")
                return self._count_crash(ending)
            return ending

    def _count_crash(self, crashed: Crashed) -> Ending:
        """A crash in the work itself is counted as a lost run by the next run that claims it. One
        before that leaves no event and may come again and again, so it is counted here, by the
        deliveries and what was read so far."""
        lost_runs = self._history.count_open_deliveries(self._lease.earlier_deliveries)
        is_too_often = not self._is_claimed and lost_runs > self.dispatch.backoff_limit
        return endings.give_up(lost_runs) if is_too_often else crashed

    async def _do(self) -> Ending:
        if not self._kind.starts_anew:
            note = await self._bus.get_control(self.dispatch.subject_id)
            if note is not None:
                return _CANCELLED if note is ControlAction.CANCEL else _PAUSED
        claimed = await self._claim()
        if isinstance(claimed, Ending):
            return claimed
        self._is_claimed = True
        if self._number > 1:
            # Should this run be lost before its first event, the next one would not count it. Of
            # the first run that is put up with: the first events of a call are not held up.
            await self._signs.give(claimed.build_sign, None)
        first_seconds = self._kind.first_sign_seconds
        async with self._signs.kept_up(claimed.build_sign, first_seconds=first_seconds):
            try:
                await claimed.run()
            except Permanent:
                if await self._was_done_before():
                    return Settled("the attempt has ended")
                raise
        return Finished()

    async def _was_done_before(self) -> bool:
        """Whether a message that was taken without a look at the past asks for what is done: its
        input may be deleted by now, which is no failure."""
        if self._is_past_known:
            return False
        await self._history.read(self._bus, self._kind.events, lambda _: None)
        return self._history.is_settled()

    async def _claim(self) -> Task | Ending:
        """The task of a piece of work that is ours to do, or how this run ends instead.

        Too many lost runs end the work, but a worker that could not be heard while the bus was away
        looks lost and is not. So they are in doubt until nobody was heard of the work for longer
        than a worker is ever silent; all that may change meanwhile is looked at again.
        """
        seen_sequence: int | None = None
        while True:
            dispatch, earlier = self._lease.dispatch, self._lease.earlier_deliveries
            task = self._task = self._kind.build_task(self._run)
            history = self._history = History(dispatch)
            self._is_past_known = not self._kind.starts_anew or earlier > 0
            if not self._is_past_known:
                # No run was lost and nothing can be reused. Work that is done already is done once
                # more, which is harmless: its events have the same ids, and the recorder takes no
                # event of an attempt that has ended.
                return task
            await history.read(self._bus, self._kind.events, task.recall)
            if history.is_settled():
                return Settled(f"attempt {history.finished_attempt} has ended")
            lost_runs = history.count_lost_runs(earlier)
            if lost_runs <= dispatch.backoff_limit:
                return task
            if self._lease.delivery is None:
                return Settled("the message was lost with its stream")
            if history.last_sequence == seen_sequence:
                return endings.give_up(lost_runs)
            seen_sequence = history.last_sequence
            await self._signs.give_doubt(task.build_sign)
            await self._sleep(DOUBT_SECONDS)

    # --- the end ----------------------------------------------------------------------------

    async def _conclude(self, ending: Ending) -> None:
        """Say how it ended, then answer the message. Without the bus the message stays unanswered
        and comes again; then the history says what is left to do."""
        # Short work that went well would fill the log; its events and metrics tell of it.
        is_usual = self._kind.starts_anew and isinstance(ending, Finished)
        _log.log(
            logging.DEBUG if is_usual else logging.INFO,
            "run ended",
            ending=type(ending).__name__,
            attempt=self.dispatch.attempt,
            delivery=self._number,
            seconds=round(time.monotonic() - self._run.taken_at, 3),
            reason="" if isinstance(ending, Finished) else ending.message,
        )
        try:
            await self._publish_ending(ending)
            if self._lease.delivery is not None:
                await self._answer(self._lease.delivery, ending)
        except BusUnavailable as exc:
            _log.warning("the end could not be published", error=str(exc))

    async def _publish_ending(self, ending: Ending) -> None:
        match ending:
            case Stopped():
                await self._reporter.publish(ending.build_event())
            case Rejected():
                task = self._task or self._kind.build_task(self._run)
                await self._reporter.publish(task.build_failed(ending))
            case HandedBack():
                event = ending.build_event(self.dispatch.attempt, self._lease.deliveries)
                await self._reporter.publish(event, detail=details.format_run(self._number))
            case Crashed() if self._task is not None and self._is_claimed:
                # The next run counts this one as lost only if it has said something.
                await self._signs.give(self._task.build_sign, None)
            case _:
                pass

    async def _answer(self, delivery: JobDelivery[D], ending: Ending) -> None:
        match ending:
            case Finished() if self._kind.starts_anew:
                # Should it be lost, a later delivery finds in the history that the work is done.
                await delivery.ack_unconfirmed()
            case Finished() | Settled() | Stopped():
                await delivery.ack()
            case Rejected():
                await delivery.term()
            case HandedBack() | Crashed():
                await delivery.nak(ending.delay_seconds)
