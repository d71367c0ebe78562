"""Signs of life of one run: for as long as it has nothing else to say, and when it must wait.

An hour of hold music gives no result to publish, and whoever is silent for 90 s is taken for lost
by the operator. A run that waits for what is away says so within seconds, for people to see.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import structlog
from parlance.contracts.values import Value
from parlance.inference.engine import details
from parlance.inference.engine.reporter import Reporter
from parlance.inference.engine.waits import Awaited, Waits
from parlance.runtime import tasks
from parlance.runtime.clock import Clock
from parlance.runtime.errors import BusUnavailable

_log = structlog.get_logger(__name__)

QUIET_SECONDS = 30.0
"""A run that works is never silent for longer; the operator acts after 90 s."""
_LOOK_SECONDS = 1.0
_WAIT_SECONDS = 2.0
"""A shorter wait is not worth telling: a connection that was lost is made again."""

BuildSign = Callable[[Awaited | None], Value]
"""Makes the data of a sign: how far the work is, and what it waits for."""


class _Limits(NamedTuple):
    """When a run gives a sign of life."""

    first_seconds: float
    quiet_seconds: float
    look_seconds: float


class Signs:
    """Publishes the signs of one run."""

    def __init__(self, reporter: Reporter, waits: Waits, clock: Clock) -> None:
        self._reporter = reporter
        self._waits = waits
        self._clock = clock
        self._told: Awaited | None = None
        """The wait that the last sign told of."""

    async def give_doubt(self, build_sign: BuildSign) -> None:
        """Say that the work is held and not yet begun, and how far it was before."""
        await self._reporter.publish_sign(lambda: build_sign(None), details.DOUBT)

    async def give(self, build_sign: BuildSign, awaited: Awaited | None) -> None:
        """Say at once that the run lives and what it waits for."""
        await self._reporter.publish_sign(lambda: build_sign(awaited), details.WORKER)
        self._told = awaited

    @asynccontextmanager
    async def kept_up(
        self,
        build_sign: BuildSign,
        *,
        first_seconds: float | None = None,
        quiet_seconds: float = QUIET_SECONDS,
        look_seconds: float = _LOOK_SECONDS,
    ) -> AsyncIterator[None]:
        """Give a sign when nothing was published for `quiet_seconds`, the first one already after
        `first_seconds` if that is given, and whenever a wait begins
        or ends."""
        limits = _Limits(
            quiet_seconds if first_seconds is None else first_seconds, quiet_seconds, look_seconds
        )
        give = functools.partial(self._give_forever, build_sign, limits)
        async with tasks.running_later(look_seconds, give, name="signs"):
            yield

    async def _give_forever(self, build_sign: BuildSign, limits: _Limits) -> None:
        limit_seconds = limits.first_seconds
        while True:
            # A wait that was told stays told from its beginning to its end.
            awaited = self._waits.find(0.0 if self._told else _WAIT_SECONDS)
            is_quiet = self._clock.monotonic() - self._reporter.spoke_at >= limit_seconds
            if awaited != self._told or is_quiet:
                try:
                    await self.give(build_sign, awaited)
                    limit_seconds = limits.quiet_seconds
                except BusUnavailable as exc:
                    _log.warning("no sign of life", error=str(exc))
            await asyncio.sleep(limits.look_seconds)
