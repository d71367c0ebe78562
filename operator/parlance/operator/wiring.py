"""Puts the operator together: what is opened, in which order, and closed in the reverse one."""

import asyncio
import contextlib
from dataclasses import dataclass

import structlog
from parlance.operator.bus_state import BusState
from parlance.operator.cache import JobCache
from parlance.operator.follower import Follower
from parlance.operator.freshness import Freshness
from parlance.operator.loops import Loops, open_loops
from parlance.operator.progress import ProgressPublisher
from parlance.operator.reconcile.apply import Applier
from parlance.operator.reconcile.reconciler import Reconciler
from parlance.operator.recording import EventRecorder
from parlance.operator.resync import Resync
from parlance.operator.settings import OperatorSettings
from parlance.operator.ticker import Ticker
from parlance.operator.watch import Watcher, open_watch
from parlance.operator.work_queue import WorkQueue
from parlance.runtime import telemetry
from parlance.runtime.bus import Bus, open_bus
from parlance.runtime.clock import SystemClock
from parlance.runtime.errors import KubeUnavailable
from parlance.runtime.kube import Kube, open_kube
from parlance.runtime.process import Process
from parlance.runtime.settings import BusSettings, KubeSettings, TelemetrySettings

_log = structlog.get_logger(__name__)

_PUBLISH_DEADLINE_SECONDS = 8.0
"""A reconcile that cannot publish comes back later; it must not hold its slot for long."""
_CRD_POLL_SECONDS = 1.0
_BUS_WAIT_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Settings:
    """All groups of the process."""

    operator: OperatorSettings
    bus: BusSettings
    kube: KubeSettings
    telemetry: TelemetrySettings


@dataclass(frozen=True, slots=True)
class Memory:
    """What the operator knows while it runs; all of it can be found again."""

    cache: JobCache
    queue: WorkQueue
    freshness: Freshness
    clock: SystemClock


@dataclass(frozen=True, slots=True)
class Parts:
    """What acts."""

    bus_state: BusState
    recorder: EventRecorder
    progress: ProgressPublisher
    follower: Follower
    ticker: Ticker
    resync: Resync
    reconciler: Reconciler


async def run(process: Process, settings: Settings) -> None:
    """Serve until the process is asked to stop.

    The watch is opened before the bus and closed after it, because kopf ends by cancelling all
    tasks that are younger than itself.
    """
    memory = build_memory(settings.operator)
    freshness = memory.freshness
    bus_settings = settings.bus.model_copy(
        update={"publish_deadline_seconds": _PUBLISH_DEADLINE_SECONDS}
    )
    async with contextlib.AsyncExitStack() as stack:
        endpoint = await stack.enter_async_context(
            telemetry.serve_health(settings.telemetry, live=freshness.live, ready=freshness.ready)
        )
        kube = await stack.enter_async_context(open_kube(settings.kube))
        if not await _wait_for_crd(kube, process):
            return
        watcher = Watcher(cache=memory.cache, queue=memory.queue, freshness=freshness)
        await stack.enter_async_context(
            open_watch(
                watcher,
                freshness,
                process,
                settings.kube,
                is_clusterwide=settings.operator.watch_all_namespaces,
            )
        )
        bus = await stack.enter_async_context(
            open_bus(bus_settings, client_name="parlance-operator", wait_seconds=None)
        )
        loops = await stack.enter_async_context(open_loops(process))
        _log.info("operator starts", host=endpoint.host, port=endpoint.port)
        await _serve(process, settings, memory, build_parts(settings, memory, kube, bus), loops)


def build_memory(settings: OperatorSettings) -> Memory:
    clock = SystemClock()
    return Memory(
        cache=JobCache(),
        queue=WorkQueue(clock),
        freshness=Freshness(settings, clock),
        clock=clock,
    )


def build_parts(settings: Settings, memory: Memory, kube: Kube, bus: Bus) -> Parts:
    """Everything that acts, each with just what it needs."""
    cache, queue, clock = memory.cache, memory.queue, memory.clock
    bus_state = BusState(bus, memory.freshness, clock)
    recorder = EventRecorder(kube)
    progress = ProgressPublisher(bus=bus, bus_state=bus_state, cache=cache, clock=clock)
    applier = Applier(kube=kube, bus=bus, bus_state=bus_state, cache=cache, recorder=recorder)
    ticker = Ticker(
        cache=cache,
        queue=queue,
        applier=applier,
        freshness=memory.freshness,
        clock=clock,
        period_seconds=settings.operator.tick_seconds,
    )
    bus_state.on_rebuilt = ticker.start_over
    return Parts(
        bus_state=bus_state,
        recorder=recorder,
        progress=progress,
        follower=Follower(bus=bus, cache=cache, queue=queue, progress=progress, clock=clock),
        ticker=ticker,
        resync=Resync(
            kube=kube,
            cache=cache,
            queue=queue,
            applier=applier,
            freshness=memory.freshness,
            namespace="" if settings.operator.watch_all_namespaces else settings.kube.namespace,
            period_seconds=settings.operator.resync_seconds,
        ),
        reconciler=Reconciler(
            queue=queue,
            cache=cache,
            bus=bus,
            bus_state=bus_state,
            applier=applier,
            recorder=recorder,
            limits=settings.operator.limits(),
            clock=clock,
        ),
    )


async def _serve(
    process: Process, settings: Settings, memory: Memory, parts: Parts, loops: Loops
) -> None:
    """Start the loops in the order of their needs, wait for the end, drain."""
    loops.start("bus state", parts.bus_state.follow())
    loops.start("records", parts.recorder.post_forever())
    # The cache first: an event about a job that is not in it would be taken for an old one.
    loading = loops.start("load", parts.resync.load())
    stopping = asyncio.create_task(process.stopping.wait())
    await asyncio.wait((loading, stopping), return_when=asyncio.FIRST_COMPLETED)
    # Most often the bus is there a moment later; without it nothing could be dispatched anyway.
    await parts.bus_state.wait_until_up(_BUS_WAIT_SECONDS)
    if loading.done() and not process.stopping.is_set():
        loops.start("follower", parts.follower.follow())
        loops.start("progress", parts.progress.publish_forever())
        loops.start("ticker", parts.ticker.tick_forever())
        loops.start("resync", parts.resync.check_forever())
        workers = [
            loops.start(f"reconciler {number}", parts.reconciler.work())
            for number in range(settings.operator.reconcilers)
        ]
        await stopping
        memory.queue.close()
        await _drain(workers, parts.recorder, settings.operator.drain_seconds)


async def _wait_for_crd(kube: Kube, process: Process) -> bool:
    """False when the process is stopped first. kopf would not notice a CRD that comes later."""
    while not process.stopping.is_set():
        try:
            if await kube.is_crd_served():
                return True
            _log.warning("the CRD is not there yet")
        except KubeUnavailable as exc:
            _log.warning("waiting for the Kubernetes API", problem=str(exc))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CRD_POLL_SECONDS):
                await process.stopping.wait()
    return False


async def _drain(
    workers: list[asyncio.Task[None]], recorder: EventRecorder, timeout_seconds: float
) -> None:
    """Let reconciles that run finish, and tell what they did."""
    try:
        async with asyncio.timeout(timeout_seconds):
            await asyncio.gather(*workers)
            await recorder.drain()
    except TimeoutError:
        _log.warning("reconciles cut short at shutdown; the next start takes them up again")
