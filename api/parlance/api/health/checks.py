"""Whether this process can do its work; asked by Kubernetes every few seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from parlance.api.wiring import Parts
from parlance.runtime.errors import RuntimeFault

CHECK_SECONDS = 1.0
CACHE_SECONDS = 2.0
"""Many probes ask at once; the servers behind are asked once."""

Check = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. Only `required` parts decide whether the process is ready."""

    required: Mapping[str, str]
    optional: Mapping[str, str]
    is_stopping: bool = False

    @property
    def is_ready(self) -> bool:
        return not self.is_stopping and all(state == "ok" for state in self.required.values())


class Readiness:
    """The checks, with their last answer kept for a moment.

    Without Postgres or the store nothing can be accepted. Without NATS calls are still accepted
    and results still read, so its loss is shown but takes no replica out of service.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._report: Report | None = None
        self._checked_at = 0.0
        self._checking = asyncio.Lock()

    async def check(self) -> Report:
        async with self._checking:
            is_fresh = time.monotonic() - self._checked_at < CACHE_SECONDS
            if self._report is None or not is_fresh:
                self._report = await self._check_all()
                self._checked_at = time.monotonic()
        is_stopping = self._parts.stopping.is_set()
        return Report(self._report.required, self._report.optional, is_stopping)

    async def _check_all(self) -> Report:
        parts = self._parts
        database, store = await asyncio.gather(_try(parts.database.ping), _try(parts.store.check))
        bus = "ok" if parts.bus.is_connected and parts.hub.is_live else "unavailable"
        return Report({"database": database, "store": store}, {"bus": bus})


async def _try(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except TimeoutError:
        return "timeout"
    except (RuntimeFault, OSError):
        return "unavailable"
    return "ok"
