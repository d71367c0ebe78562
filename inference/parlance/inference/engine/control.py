"""Cancel and pause notes, as far as they concern the calls in work here."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from parlance.contracts.bus.jobs import ControlAction
from parlance.inference.engine import metrics
from parlance.inference.engine.ports import WorkBus
from parlance.runtime import tasks

_log = structlog.get_logger(__name__)
_PAUSE_SECONDS = 1.0

Listener = Callable[[str, ControlAction], None]
"""Called with job id and action for every note, old ones first."""


@asynccontextmanager
async def watched(bus: WorkBus, listener: Listener) -> AsyncIterator[None]:
    """Hear of notes as they are written, for as long as the context lasts."""
    watch = asyncio.create_task(_watch_forever(bus, listener), name="control")
    try:
        yield
    finally:
        await tasks.end(watch)


async def _watch_forever(bus: WorkBus, listener: Listener) -> None:
    while True:
        try:
            async for job_id, action in bus.watch_control():
                listener(job_id, action)
        except Exception:  # noqa: BLE001
            # Top of a loop that must outlive every fault of the bus: without it no running call
            # hears of its cancellation. A new watch replays all notes.
            metrics.FAULTS.labels("control").inc()
            _log.warning("control watch lost", exc_info=True)
        await asyncio.sleep(_PAUSE_SECONDS)
