"""Tasks that run as long as the process: one that fails ends it, the end cancels them all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import structlog
from parlance.runtime import tasks
from parlance.runtime.process import Process

_log = structlog.get_logger(__name__)


class Loops:
    """Started by the wiring; kept referenced here, as asyncio itself does not."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, loop: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(loop, name=name)
        task.add_done_callback(self._on_end)
        self._tasks.append(task)
        return task

    def _on_end(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (problem := task.exception()) is None:
            return
        _log.error("loop failed", loop=task.get_name(), exc_info=problem)
        self._process.stop(exit_code=1)

    async def cancel(self) -> None:
        await tasks.end(*self._tasks)


@contextlib.asynccontextmanager
async def open_loops(process: Process) -> AsyncIterator[Loops]:
    loops = Loops(process)
    try:
        yield loops
    finally:
        await loops.cancel()
