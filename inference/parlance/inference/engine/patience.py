"""Waiting for what is away: one rule for the bus, the store, the speech model and addresses."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from parlance.inference.engine import metrics
from parlance.inference.engine.waits import Awaited, Waits
from parlance.runtime.clock import Clock
from parlance.runtime.errors import Retryable, StoreRefused

_T = TypeVar("_T")
_log = structlog.get_logger(__name__)

_FIRST_PAUSE_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 3.0


class Patience:
    """Tries again with growing pauses until it worked or the deadline is over."""

    def __init__(
        self,
        clock: Clock,
        *,
        deadline_seconds: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        waits: Waits | None = None,
    ) -> None:
        self._clock = clock
        self._deadline_seconds = deadline_seconds
        self._sleep = sleep
        self._waits = waits or Waits(clock)

    def noted_in(self, waits: Waits) -> "Patience":
        """The same patience, whose waits are those of one run."""
        return Patience(
            self._clock,
            deadline_seconds=self._deadline_seconds,
            sleep=self._sleep,
            waits=waits,
        )

    async def persist(
        self, awaited: Awaited, attempt: Callable[[], Awaitable[_T]], *, min_tries: int = 1
    ) -> _T:
        """Result of `attempt`. Raises what it raised last when the deadline is over and `min_tries`
        were made, and at once what is not Retryable or what the store refuses."""
        give_up_at = self._clock.monotonic() + self._deadline_seconds
        pause_seconds = _FIRST_PAUSE_SECONDS
        tries = 0
        with self._waits.track() as begin_wait:
            while True:
                tries += 1
                try:
                    return await attempt()
                except StoreRefused:
                    raise  # an administrator mends that, not a moment
                except Retryable as exc:
                    metrics.RETRIES.labels(awaited.label).inc()
                    is_late = self._clock.monotonic() + pause_seconds > give_up_at
                    if is_late and tries >= min_tries:
                        raise
                    _log.info(
                        "waiting",
                        what=awaited.label,
                        error=str(exc),
                        seconds=round(pause_seconds, 2),
                    )
                begin_wait(awaited)
                await self._sleep(pause_seconds * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                pause_seconds = min(pause_seconds * 2, _MAX_PAUSE_SECONDS)
