"""The worker's process: one loop for each kind of work that the settings ask for."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from parlance.contracts.bus.subjects import Kind
from parlance.inference.analysis import pipeline
from parlance.inference.engine.loop import WorkerLoop
from parlance.inference.engine.patience import Patience
from parlance.inference.settings import WorkerSettings
from parlance.inference.wiring.work import Settings, Shared, Work
from parlance.runtime import bus, store, telemetry
from parlance.runtime.bus import Bus
from parlance.runtime.clock import SystemClock
from parlance.runtime.process import Process

_log = structlog.get_logger(__name__)


async def run_worker(settings: Settings, process: Process) -> None:
    """Work until the process is asked to stop."""
    async with open_works(settings) as works:
        name = f"worker {settings.worker.worker_name}"
        async with bus.open_bus(settings.bus, client_name=name) as events:
            loops = [_build_loop(settings.worker, events, work) for work in works]
            live, ready = _build_checks(loops, events, works)
            async with telemetry.serve_health(
                settings.telemetry, live=live, ready=ready
            ) as endpoint:
                _log.info(
                    "worker started",
                    host=endpoint.host,
                    port=endpoint.port,
                    lanes=list(settings.worker.worker_lanes),
                )
                await _run_loops(loops, process, settings.worker.worker_drain_seconds)


async def _run_loops(loops: Sequence[WorkerLoop], process: Process, drain_seconds: float) -> None:
    async with asyncio.TaskGroup() as group:
        for loop in loops:
            group.create_task(loop.run(process.stopping, drain_seconds=drain_seconds))


def _build_loop(settings: WorkerSettings, events: Bus, work: Work) -> WorkerLoop:
    """A loop per kind: tickets and calls have slots of their own, so that neither waits for the
    other."""
    clock = SystemClock()
    patience = Patience(clock, deadline_seconds=settings.worker_patience_seconds)
    return WorkerLoop(events, [work.kind], clock, patience, slots=work.slots)


@asynccontextmanager
async def open_works(settings: Settings) -> AsyncIterator[list[Work]]:
    """The kinds of work of the settings, each with what it needs and no other."""
    async with AsyncExitStack() as stack:
        shared = Shared(
            settings=settings,
            store=await stack.enter_async_context(store.open_store(settings.store)),
            analyst=await stack.enter_async_context(pipeline.open_analyst()),
        )
        works: list[Work] = []
        if Kind.CALL in settings.worker.worker_lanes:
            # Here and not above: it loads the client of the speech model, decoders and models.
            from parlance.inference.wiring import call_work

            works.append(await stack.enter_async_context(call_work.open_work(shared)))
        if Kind.TICKET in settings.worker.worker_lanes:
            from parlance.inference.wiring import ticket_work

            works.append(ticket_work.build_work(shared))
        yield works


def _build_checks(
    loops: Sequence[WorkerLoop], events: Bus, works: Sequence[Work]
) -> tuple[telemetry.HealthCheck, telemetry.HealthCheck]:
    """Live: the loops turn (a blocked one cannot even answer). Ready: there is a bus to take work
    from, and what each kind of work needs is there."""

    async def live() -> Mapping[str, str]:
        problems = filter(None, (loop.find_problem() for loop in loops))
        return _problems(loop=next(problems, None))

    async def ready() -> Mapping[str, str]:
        connection = None if events.is_connected else "not connected"
        found = {"bus": connection}
        for work in works:
            found |= await work.find_problems()
        return _problems(**found)

    return live, ready


def _problems(**parts: str | None) -> dict[str, str]:
    return {part: problem for part, problem in parts.items() if problem is not None}
