"""One message: from its arrival to its ack, nak or term.

Holds the lease, listens for stop requests, starts the work and turns however it ended into an
event and an answer to the bus, in that order: a message is never taken from the queue before the
event that says why is stored.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from parlance.contracts.bus.calls import CallDispatch, Cancelled
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.crs.meta import Reason
from parlance.contracts.ids import CallId
from parlance.inference.worker import endings, metrics
from parlance.inference.worker import history as histories
from parlance.inference.worker.call import CallWork, Tools
from parlance.inference.worker.endings import (
    Crashed,
    Ending,
    Finished,
    HandedBack,
    Rejected,
    Settled,
    Stopped,
)
from parlance.inference.worker.history import History
from parlance.inference.worker.lease import Lease
from parlance.inference.worker.ports import CallBus, CallDelivery
from parlance.inference.worker.reporter import QUIET_SECONDS, Reporter
from parlance.runtime import tasks
from parlance.runtime.clock import Clock
from parlance.runtime.errors import BusUnavailable

_log = structlog.get_logger(__name__)

PAUSED_DELAY_SECONDS = 30.0
DOUBT_SECONDS = 1.5 * QUIET_SECONDS
"""A worker that lives is never silent for so long."""
_CANCELLED = Stopped(Cancelled(message="Cancelled on request."))
_PAUSED = HandedBack(Reason.SUSPENDED, "Suspended on request.", PAUSED_DELAY_SECONDS)
_DRAINED = HandedBack(Reason.RETRYING, "The worker is shutting down.", delay_seconds=0.0)


class CallRunner:
    """Runs one call once."""

    def __init__(
        self,
        bus: CallBus,
        tools: Tools,
        clock: Clock,
        delivery: CallDelivery,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._bus = bus
        self._tools = tools
        self._clock = clock
        self._lease = Lease(bus, delivery)
        self._reporter = Reporter(
            bus, self._lease, clock, tools.patience, deliveries=delivery.attempts
        )
        self._deliveries = delivery.attempts
        self._sleep = sleep
        self._taken_at = time.monotonic()
        self._work: asyncio.Task[Ending] | None = None
        self._stop: Ending | None = None
        self._announcements: set[asyncio.Task[None]] = set()
        self._is_concluding = False

    @property
    def call_id(self) -> CallId:
        return self._lease.dispatch.call_id

    @property
    def dispatch(self) -> CallDispatch:
        return self._lease.dispatch

    # --- from outside -----------------------------------------------------------------------

    async def adopt(self, newer: CallDelivery) -> bool:
        """A message came for the call that runs here: go on under it. False when the run is about
        to answer the one it has; the newer one then needs a run of its own."""
        if self._is_concluding:
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

    def heed(self, action: ControlAction) -> None:
        """Follow a control note."""
        self._interrupt(_CANCELLED if action is ControlAction.CANCEL else _PAUSED)

    def drain(self) -> None:
        """Hand the call back to whoever takes it next."""
        self._interrupt(_DRAINED)

    def _interrupt(self, ending: Ending) -> None:
        if self._stop is not None:
            return
        self._stop = ending
        if self._work is not None:
            self._work.cancel()

    # --- the run ----------------------------------------------------------------------------

    async def run(self) -> Ending:
        """Never raises but for cancellation; what went wrong is in the ending."""
        if self._deliveries > 1:
            metrics.REDELIVERIES.inc()
        with (
            structlog.contextvars.bound_contextvars(call=self.call_id),
            metrics.RUNNING.track_inprogress(),
        ):
            async with self._lease.kept_alive():
                ending = await self._work_until_stopped()
                self._is_concluding = True
                await tasks.end(*self._announcements)
                await self._conclude(ending)
        metrics.CALLS.labels(type(ending).__name__.lower()).inc()
        return ending

    async def _work_until_stopped(self) -> Ending:
        if self._stop is not None:
            return self._stop
        self._work = asyncio.create_task(self._attempt(), name=f"call {self.call_id}")
        try:
            await asyncio.wait([self._work])
        finally:
            await tasks.end(self._work)
        if self._work.cancelled():
            return self._stop or _DRAINED
        return self._work.result()

    async def _attempt(self) -> Ending:
        try:
            return await self._do()
        except Exception as exc:  # noqa: BLE001
            # Top of a call's work: whatever it is, the message must get an answer.
            ending = endings.plan_ending(exc)
            if isinstance(ending, Crashed):
                metrics.FAULTS.labels("call").inc()
                _log.exception("call crashed")
            return ending

    async def _do(self) -> Ending:
        note = await self._bus.get_control(self.call_id)
        if note is not None:
            return _CANCELLED if note is ControlAction.CANCEL else _PAUSED
        async with self._reporter.never_silent():
            model = await self._tools.patience.persist("asr", self._tools.transcriber.identify)
        history = await self._claim(model.hash)
        if not isinstance(history, History):
            return history
        async with self._reporter.never_silent():
            work = CallWork(
                self._tools, self._lease, self._reporter, history, model, self._taken_at
            )
            await work.run()
        return Finished()

    async def _claim(self, model_hash: str) -> History | Ending:
        """The past of a call that is ours to do, or how this run ends instead.

        Too many lost runs end the call, but a worker that could not be heard while the bus was away
        looks lost and is not. So they are in doubt until nobody was heard of the call for longer
        than a worker is ever silent; all that may change meanwhile is looked at again.
        """
        heard: int | None = None
        while True:
            dispatch, earlier = self._lease.dispatch, self._lease.earlier_deliveries
            history = await histories.read_history(self._bus, dispatch, model_hash)
            if history.is_settled(dispatch):
                return Settled(f"attempt {history.finished_attempt} has ended")
            lost_runs = history.count_lost_runs(earlier)
            if lost_runs <= dispatch.backoff_limit:
                return history
            if self._lease.delivery is None:
                return Settled("the message was lost with its stream")
            if history.last_sequence == heard:
                return endings.give_up(lost_runs)
            heard = history.last_sequence
            await self._reporter.doubt(history.windows.values())
            await self._sleep(DOUBT_SECONDS)

    # --- the end ----------------------------------------------------------------------------

    async def _conclude(self, ending: Ending) -> None:
        """Say how it ended, then answer the message. Without the bus the message stays unanswered
        and comes again; then the history says what is left to do."""
        _log.info(
            "call ended",
            ending=type(ending).__name__,
            attempt=self.dispatch.attempt,
            delivery=self._deliveries,
            seconds=round(time.monotonic() - self._taken_at, 3),
            reason=_describe(ending),
        )
        try:
            await self._tell(ending)
            if self._lease.delivery is not None:
                await _answer(self._lease.delivery, ending)
        except BusUnavailable as exc:
            _log.warning("the end could not be told", error=str(exc))

    async def _tell(self, ending: Ending) -> None:
        match ending:
            case Stopped() | Rejected():
                await self._reporter.publish(ending.event)
            case HandedBack():
                event = ending.build_event(self.dispatch.attempt, self._lease.deliveries)
                await self._reporter.publish(event, detail=str(self._deliveries))
            case _:
                pass


async def _answer(delivery: CallDelivery, ending: Ending) -> None:
    match ending:
        case Finished() | Settled() | Stopped():
            await delivery.ack()
        case Rejected():
            await delivery.term()
        case HandedBack() | Crashed():
            await delivery.nak(ending.delay_seconds)


def _describe(ending: Ending) -> str:
    match ending:
        case Rejected() | Stopped():
            return ending.event.message
        case HandedBack() | Crashed():
            return ending.message
        case Settled():
            return ending.reason
        case Finished():
            return ""
