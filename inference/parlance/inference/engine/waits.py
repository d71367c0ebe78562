"""What a run waits for at the moment, so that its signs of life can tell.

`Patience` notes what is away for as long as it tries again; a task notes what takes long by nature.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from parlance.contracts.crs.meta import Reason
from parlance.runtime.clock import Clock


@dataclass(frozen=True, slots=True)
class Awaited:
    """Something that a run may have to wait for."""

    label: str
    """In metrics and logs."""
    reason: Reason
    message: str
    """For people; names no internals."""


BUS = Awaited("bus", Reason.BUS_UNAVAILABLE, "waiting for NATS")
STORE = Awaited("store", Reason.WAITING_FOR_STORE, "waiting for the object store")


class Waits:
    """The waits of one run, oldest first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._begun: dict[object, tuple[Awaited, float]] = {}

    @contextmanager
    def track(self) -> Iterator[Callable[[Awaited], None]]:
        """One wait: it begins when the function that this gives is first called, and ends with the
        context."""
        wait = object()

        def begin(awaited: Awaited) -> None:
            self._begun.setdefault(wait, (awaited, self._clock.monotonic()))

        try:
            yield begin
        finally:
            self._begun.pop(wait, None)

    def find(self, min_seconds: float) -> Awaited | None:
        """What has been waited for longest, if for at least `min_seconds`."""
        oldest = next(iter(self._begun.values()), None)
        if oldest is None or self._clock.monotonic() - oldest[1] < min_seconds:
            return None
        return oldest[0]
