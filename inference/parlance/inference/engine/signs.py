"""Signs of life of one run, for as long as it has nothing else to say.

An hour of hold music or a model server that is being restarted gives no result to publish, and
whoever is silent for 90 s is taken for lost by the operator.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.values import Value
from parlance.inference.engine.reporter import Reporter
from parlance.runtime import tasks
from parlance.runtime.clock import Clock
from parlance.runtime.errors import BusUnavailable

_log = structlog.get_logger(__name__)

QUIET_SECONDS = 30.0
"""A run that works is never silent for longer; the operator acts after 90 s."""

_SIGN = "worker"
_DOUBT = "doubt"
"""Labels in the ids of signs: of a run that works, and of one that only holds the message."""

BuildSign = Callable[[], Value]


def is_doubt(event: Envelope) -> bool:
    """Whether a worker only says that it holds the work and has not begun it."""
    return f".{_DOUBT}." in event.id


class Signs:
    """Publishes the signs of one run."""

    def __init__(self, reporter: Reporter, clock: Clock) -> None:
        self._reporter = reporter
        self._clock = clock

    async def give_doubt(self, build_sign: BuildSign) -> None:
        """Say that the work is held and not yet begun, and how far it was before."""
        await self._reporter.publish_sign(build_sign(), _DOUBT)

    @asynccontextmanager
    async def kept_up(
        self, build_sign: BuildSign, quiet_seconds: float = QUIET_SECONDS
    ) -> AsyncIterator[None]:
        """Give a sign whenever nothing was published for `quiet_seconds`."""
        signs = asyncio.create_task(self._give_forever(build_sign, quiet_seconds), name="signs")
        try:
            yield
        finally:
            await tasks.end(signs)

    async def _give_forever(self, build_sign: BuildSign, quiet_seconds: float) -> None:
        while True:
            await asyncio.sleep(quiet_seconds / 4)
            if self._clock.monotonic() - self._reporter.spoke_at < quiet_seconds:
                continue
            try:
                await self._reporter.publish_sign(build_sign(), _SIGN)
            except BusUnavailable as exc:
                _log.warning("no sign of life", error=str(exc))
