"""Whether this process can do its work; asked by Kubernetes every few seconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from parlance.runtime.errors import RuntimeFault

CHECK_SECONDS = 1.0
CACHE_SECONDS = 2.0
"""Many probes ask at once; the servers behind are asked once."""

Check = Callable[[], Awaitable[object]]
FindProblem = Callable[[], str | None]


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

    Without a required part nothing can be accepted. An optional one is shown, but its loss takes
    no replica out of service: without NATS calls are still accepted and results still read, without
    a decoder's sandbox results only.
    """

    def __init__(
        self,
        required: Mapping[str, Check],
        optional: Mapping[str, FindProblem],
        stopping: asyncio.Event,
    ) -> None:
        self._required = required
        self._optional = optional
        self._stopping = stopping
        self._report: Report | None = None
        self._checked_at = 0.0
        self._checking = asyncio.Lock()

    async def check(self) -> Report:
        async with self._checking:
            is_fresh = time.monotonic() - self._checked_at < CACHE_SECONDS
            if self._report is None or not is_fresh:
                self._report = await self._check_all()
                self._checked_at = time.monotonic()
        return Report(self._report.required, self._report.optional, self._stopping.is_set())

    async def find_problems(self) -> Mapping[str, str]:
        """For the health port that all processes have: what keeps this one from working."""
        report = await self.check()
        problems = {name: state for name, state in report.required.items() if state != "ok"}
        return {**problems, "process": "stopping"} if report.is_stopping else problems

    async def _check_all(self) -> Report:
        states = await asyncio.gather(*(_try(check) for check in self._required.values()))
        return Report(
            dict(zip(self._required, states, strict=True)),
            {name: find_problem() or "ok" for name, find_problem in self._optional.items()},
        )


async def _try(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except TimeoutError:
        return "timeout"
    except (RuntimeFault, OSError):
        return "unavailable"
    return "ok"
