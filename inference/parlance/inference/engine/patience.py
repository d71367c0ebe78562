"""Waiting for what is away: one rule for the store and the speech model."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from parlance.inference.engine import metrics
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
    ) -> None:
        self._clock = clock
        self._deadline_seconds = deadline_seconds
        self._sleep = sleep

    async def persist(
        self, what: str, attempt: Callable[[], Awaitable[_T]], *, min_tries: int = 1
    ) -> _T:
        """Result of `attempt`. Raises what it raised last when the deadline is over and `min_tries`
        were made, and at once what is not Retryable or what the store refuses."""
        give_up_at = self._clock.monotonic() + self._deadline_seconds
        pause_seconds = _FIRST_PAUSE_SECONDS
        tries = 0
        while True:
            tries += 1
            try:
                return await attempt()
            except StoreRefused:
                raise  # an administrator mends that, not a moment
            except Retryable as exc:
                metrics.RETRIES.labels(what).inc()
                is_late = self._clock.monotonic() + pause_seconds > give_up_at
                if is_late and tries >= min_tries:
                    raise
                _log.info("waiting", what=what, error=str(exc), seconds=round(pause_seconds, 2))
            await self._sleep(pause_seconds * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause_seconds = min(pause_seconds * 2, _MAX_PAUSE_SECONDS)
