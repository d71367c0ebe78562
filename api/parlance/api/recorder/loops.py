"""Rounds of work that go on until the process is to stop. Used by `process`."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog
from parlance.runtime.errors import Retryable
from prometheus_client import Counter

_log = structlog.get_logger(__name__)
_FAULTS = Counter("parlance_recorder_loop_faults", "Rounds of a loop that failed.", ["loop"])

MAX_PAUSE_SECONDS = 30.0

Action = Callable[[], Awaitable[object]]


class Loops:
    """Rounds of work with pauses that a stop signal ends."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self._stopping = stopping

    async def every(self, seconds: float, name: str, action: Action) -> None:
        """Run the action again and again; after faults with growing pauses."""
        pause = seconds
        while not self._stopping.is_set():
            is_done = await self._attempt(name, action)
            pause = (
                seconds if is_done else min(max(2 * pause, 1.0), max(seconds, MAX_PAUSE_SECONDS))
            )
            await pause_for(pause, self._stopping)

    async def drain(
        self, seconds: float, name: str, batch: int, action: Callable[[], Awaitable[int]]
    ) -> None:
        """Run the action again and again, without a pause as long as it does a full batch."""
        pause = seconds
        done = 0

        async def count() -> None:
            nonlocal done
            done = await action()

        while not self._stopping.is_set():
            done = 0
            is_done = await self._attempt(name, count)
            pause = seconds if is_done else min(2 * pause, MAX_PAUSE_SECONDS)
            if done < batch:
                await pause_for(pause, self._stopping)

    async def _attempt(self, name: str, action: Action) -> bool:
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


async def pause_for(seconds: float, stopping: asyncio.Event) -> None:
    """Sleep, but return at once when `stopping` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()
