"""Deletes what crashes and interrupted uploads leave behind, a bounded number of things per pass.

Called by `process` once a minute. Each step stands alone: one that fails is tried next time. What
the steps are is put together in `areas`.
"""

from collections.abc import Awaitable, Callable, Mapping

import structlog
from parlance.runtime.errors import Retryable
from prometheus_client import Counter

_log = structlog.get_logger(__name__)
_DELETED = Counter("parlance_janitor_removed", "Things deleted, by kind.", ["kind"])
_FAILED = Counter("parlance_janitor_failures", "Steps that could not be finished.", ["kind"])

Step = Callable[[], Awaitable[int]]
"""Deletes some things and returns how many. Raises Retryable."""


class Janitor:
    """One per recorder process; several are harmless."""

    def __init__(self, steps: Mapping[str, Step]) -> None:
        """Steps by what they delete."""
        self._steps = steps

    async def run_pass(self) -> None:
        """Every step once."""
        for kind, step in self._steps.items():
            try:
                count = await step()
            except Retryable as fault:
                _FAILED.labels(kind).inc()
                _log.warning("janitor step put off", step=kind, problem=str(fault))
                continue
            # Top of a loop: a defect in one step must not keep the later ones from running.
            except Exception:  # noqa: BLE001 - the reason stands above
                _FAILED.labels(kind).inc()
                _log.exception("janitor step failed", step=kind)
                continue
            _DELETED.labels(kind).inc(count)
            if count:
                _log.info("janitor deleted", kind=kind, count=count)
