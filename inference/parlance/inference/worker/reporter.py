"""Events of one call, as its worker publishes them.

The attempt is read from the lease at each event: a newer message may have taken the place of the
one the work started with.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import structlog
from parlance.contracts.bus import subjects
from parlance.contracts.bus.calls import (
    EventData,
    EventType,
    Progress,
    SegmentsReady,
    Started,
    build_event,
)
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.calls import Stage
from parlance.inference.worker.lease import Lease
from parlance.inference.worker.patience import Patience
from parlance.inference.worker.ports import CallBus
from parlance.runtime import tasks
from parlance.runtime.clock import Clock
from parlance.runtime.errors import BusUnavailable

_log = structlog.get_logger(__name__)

QUIET_SECONDS = 30.0
"""After so much silence the worker says that it is alive; the operator starts to worry at 90 s."""

_SIGN = "worker"
_DOUBT = "doubt"
"""First part of the detail in the ids of our progress events."""


def is_doubt(event: Envelope) -> bool:
    """Whether a worker only says that it holds the call and does not work on it."""
    return f".{EventType.PROGRESS.token}.{_DOUBT}." in event.id


class Reporter:
    """Publishes; remembers when it last spoke."""

    def __init__(
        self, bus: CallBus, lease: Lease, clock: Clock, patience: Patience, *, deliveries: int
    ) -> None:
        self._bus = bus
        self._patience = patience
        self._lease = lease
        self._clock = clock
        self._deliveries = deliveries
        self._spoke_at = clock.monotonic()
        self._signs = itertools.count(1)
        self._started: Started | None = None
        self._processed_seconds = 0.0
        self._total_seconds = 0.0

    async def announce(self, started: Started) -> None:
        """Publish `started`; again for each attempt that is adopted later."""
        self._started = started
        self._total_seconds = started.duration_seconds
        await self.publish(started, detail=str(self._deliveries))

    async def announce_again(self) -> None:
        """After the call was adopted by a later attempt."""
        if self._started is not None:
            await self.publish(self._started, detail=str(self._deliveries))

    async def report_window(self, ready: SegmentsReady) -> None:
        """Publish a finished window under the id that refuses a second copy."""
        call_id = self._lease.dispatch.call_id
        id_ = subjects.format_window_id(call_id, ready.model_hash, ready.window)
        await self.publish(ready, id_=id_)
        self.note_window(ready)

    async def doubt(self, done: Iterable[SegmentsReady]) -> None:
        """Say that the call is held and not yet worked on, and how far it was before."""
        for ready in done:
            self.note_window(ready)
            self._total_seconds = ready.total_seconds
        await self.publish(self._build_progress(), detail=self._format_detail(_DOUBT))

    def note_window(self, ready: SegmentsReady) -> None:
        """A window is done, by us or by an earlier run: signs of life tell how far the call is."""
        self._processed_seconds = max(self._processed_seconds, ready.processed_seconds)

    async def publish(self, data: EventData, *, id_: str | None = None, detail: str = "") -> None:
        """Raises BusUnavailable when the bus stays away longer than the worker waits."""
        dispatch = self._lease.dispatch
        envelope = build_event(
            data,
            company=dispatch.company,
            call_id=dispatch.call_id,
            attempt=dispatch.attempt,
            id_=id_,
            detail=detail,
            at=self._clock.now(),
        )
        await self._patience.persist("bus", lambda: self._bus.publish_event(envelope))
        self._spoke_at = self._clock.monotonic()

    @asynccontextmanager
    async def never_silent(self, quiet_seconds: float = QUIET_SECONDS) -> AsyncIterator[None]:
        """Signs of life while there is nothing else to say: an hour of hold music, a model server
        that is being restarted."""
        signs = asyncio.create_task(self._give_signs(quiet_seconds), name="signs of life")
        try:
            yield
        finally:
            await tasks.end(signs)

    async def _give_signs(self, quiet_seconds: float) -> None:
        while True:
            await asyncio.sleep(quiet_seconds / 4)
            if self._clock.monotonic() - self._spoke_at < quiet_seconds:
                continue
            try:
                await self.publish(self._build_progress(), detail=self._format_detail(_SIGN))
            except BusUnavailable as exc:
                _log.warning("no sign of life", error=str(exc))

    def _build_progress(self) -> Progress:
        share = self._processed_seconds / self._total_seconds if self._total_seconds else 0.0
        return Progress(
            percent=min(int(share * 100), 99),
            stage=Stage.TRANSCRIBE,
            processed_seconds=self._processed_seconds,
            total_seconds=self._total_seconds,
        )

    def _format_detail(self, kind: str) -> str:
        return f"{kind}.{self._deliveries}.{next(self._signs)}"
