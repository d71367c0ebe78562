"""Events of one run, as its worker publishes them.

The attempt is read from the lease at each event: a newer message may have taken the place of the
one the work started with.
"""

import itertools
from typing import Any

from parlance.contracts.bus.kinds import KindEvents
from parlance.contracts.values import Value
from parlance.inference.engine import waits
from parlance.inference.engine.lease import Lease
from parlance.inference.engine.patience import Patience
from parlance.inference.engine.ports import WorkBus
from parlance.runtime.clock import Clock


class Reporter:
    """Publishes; remembers when it last spoke."""

    def __init__(
        self,
        bus: WorkBus,
        lease: Lease[Any],
        events: KindEvents,
        clock: Clock,
        patience: Patience,
        *,
        deliveries: int,
    ) -> None:
        self._bus = bus
        self._lease = lease
        self._events = events
        self._clock = clock
        self._patience = patience
        self._deliveries = deliveries
        self._signs = itertools.count(1)
        self._announced: Value | None = None
        self.spoke_at = clock.monotonic()
        """When the last event was stored, by the monotonic clock."""

    async def announce(self, started: Value) -> None:
        """Publish that the work has begun; again for each attempt that is adopted later."""
        self._announced = started
        await self._publish_announced()

    async def announce_again(self) -> None:
        """After the work was adopted by a later attempt."""
        if self._announced is not None:
            await self._publish_announced()

    async def _publish_announced(self) -> None:
        assert self._announced is not None
        await self.publish(self._announced, detail=str(self._deliveries))

    async def publish_sign(self, sign: Value, label: str) -> None:
        """Publish a sign of life; `label` begins the detail of its id."""
        await self.publish(sign, detail=f"{label}.{self._deliveries}.{next(self._signs)}")

    async def publish(self, data: Value, *, id_: str | None = None, detail: str = "") -> None:
        """Raises BusUnavailable when the bus stays away longer than the worker waits."""
        dispatch = self._lease.dispatch
        envelope = self._events.build_event(
            data,
            company=dispatch.company,
            subject=dispatch.subject_id,
            attempt=dispatch.attempt,
            id_=id_,
            detail=detail,
            at=self._clock.now(),
        )
        await self._patience.persist(waits.BUS, lambda: self._bus.publish_event(envelope))
        self.spoke_at = self._clock.monotonic()
