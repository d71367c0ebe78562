"""The recorder process: opens its adapters, runs its loops, ends in order.

`python -m parlance.api recorder`. Several may run at once; they share the work by row locks and by
the durable consumer.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping

import structlog
from parlance.api.db import session
from parlance.api.db.session import Database
from parlance.api.domain.calls.results.writer import ResultWriter
from parlance.api.domain.calls.stragglers import Stragglers
from parlance.api.outbox.deletions import Eraser
from parlance.api.outbox.relay import Relay
from parlance.api.settings import RecorderSettings, Settings
from parlance.runtime import bus, kube, store, telemetry
from parlance.runtime.bus import Bus
from parlance.runtime.clock import Clock, SystemClock
from parlance.runtime.errors import Retryable
from parlance.runtime.process import Process
from prometheus_client import Counter

from .inbox import Inbox
from .janitor import Janitor

_log = structlog.get_logger(__name__)
_FAULTS = Counter("parlance_recorder_loop_faults", "Rounds of a loop that failed.", ["loop"])

ERASE_SECONDS = 1.0
MEASURE_SECONDS = 5.0
MAX_PAUSE_SECONDS = 30.0
DEAF_SECONDS = 120.0
"""Connected, and yet no pull was answered for so long: a restart may help where waiting did not."""


async def run(settings: Settings, process: Process) -> None:
    """Until the process is asked to stop."""
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(session.open_database(settings.database))
        cluster = await stack.enter_async_context(kube.open_kube(settings.kube))
        objects = await stack.enter_async_context(store.open_store(settings.store))
        events = await stack.enter_async_context(
            bus.open_bus(settings.bus, client_name="recorder", wait_seconds=None)
        )
        limits = settings.recorder
        writer = ResultWriter(database, objects, events, clock)
        relay = Relay(database, cluster, events, clock, max_live_jobs=limits.max_live_jobs)
        eraser = Eraser(database, cluster, objects, events, clock)
        janitor = Janitor(database, cluster, objects, clock, orphan_seconds=limits.orphan_seconds)
        stragglers = Stragglers(database, cluster, events, writer, clock)
        inbox = Inbox(
            events, writer, clock, process.stopping, hold_seconds=limits.hold_results_seconds
        )
        endpoint = await stack.enter_async_context(
            telemetry.serve_health(
                settings.telemetry,
                live=lambda: _check_live(inbox, events, clock),
                ready=lambda: _check_ready(database, events),
            )
        )
        _log.info("recorder started", host=endpoint.host, port=endpoint.port)
        loop = _Loop(process.stopping)
        async with asyncio.TaskGroup() as group:
            group.create_task(inbox.run())
            group.create_task(_relay_forever(relay, loop, limits))
            group.create_task(loop.every(ERASE_SECONDS, "erase", eraser.erase_due))
            group.create_task(loop.every(MEASURE_SECONDS, "measure", relay.measure))
            group.create_task(loop.every(limits.janitor_seconds, "janitor", janitor.run_pass))
            group.create_task(loop.every(limits.janitor_seconds, "stragglers", stragglers.run_pass))
    _log.info("recorder stopped")


class _Loop:
    """Rounds of work with pauses that a stop signal ends."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self._stopping = stopping

    @property
    def goes_on(self) -> bool:
        return not self._stopping.is_set()

    async def every(
        self, seconds: float, name: str, action: Callable[[], Awaitable[object]]
    ) -> None:
        """Run the action again and again; after faults with growing pauses."""
        pause = seconds
        while self.goes_on:
            is_done = await self.attempt(name, action)
            pause = (
                seconds if is_done else min(max(2 * pause, 1.0), max(seconds, MAX_PAUSE_SECONDS))
            )
            await self.pause(pause)

    async def attempt(self, name: str, action: Callable[[], Awaitable[object]]) -> bool:
        try:
            await action()
        except Retryable as fault:
            _FAULTS.labels(name).inc()
            _log.warning("put off", loop=name, problem=str(fault))
        # Top of a loop: a defect here must not take the other loops down with it.
        except Exception:  # noqa: BLE001 - the reason stands above
            _FAULTS.labels(name).inc()
            _log.exception("loop round failed", loop=name)
        else:
            return True
        return False

    async def pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


async def _relay_forever(relay: Relay, loop: _Loop, limits: RecorderSettings) -> None:
    """Without a pause as long as there is a full batch to do."""
    settled = 0

    async def relay_once() -> None:
        nonlocal settled
        settled = await relay.relay_batch(limits.relay_batch)

    pause = limits.relay_poll_seconds
    while loop.goes_on:
        settled = 0
        is_done = await loop.attempt("relay", relay_once)
        pause = limits.relay_poll_seconds if is_done else min(2 * pause, MAX_PAUSE_SECONDS)
        if settled < limits.relay_batch:
            await loop.pause(pause)


async def _check_live(inbox: Inbox, events: Bus, clock: Clock) -> Mapping[str, str]:
    silent_seconds = clock.monotonic() - inbox.heard_at
    if events.is_connected and silent_seconds > DEAF_SECONDS:
        return {"bus": f"no answer for {silent_seconds:.0f} s"}
    return {}


async def _check_ready(database: Database, events: Bus) -> Mapping[str, str]:
    problems = {}
    try:
        async with asyncio.timeout(2.0):
            await database.ping()
    except (Retryable, TimeoutError):
        problems["database"] = "not available"
    if not events.is_connected:
        problems["bus"] = "not connected"
    return problems
