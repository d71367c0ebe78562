"""Events and the result of one run, as its worker publishes them.

The attempt is read from the lease at each event: a newer message may have taken the place of the
one the work started with.
"""

import itertools
from collections.abc import Callable
from typing import Any

from parlance.contracts.bus.kinds import KindEvents
from parlance.contracts.values import Value
from parlance.inference.engine import details, waits
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
        run: int,
    ) -> None:
        """`run` is the delivery that the run began with."""
        self._bus = bus
        self._lease = lease
        self._events = events
        self._clock = clock
        self._patience = patience
        self._run = run
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
        await self.publish(self._announced, detail=details.format_run(self._run))

    async def publish_sign(self, build_sign: Callable[[], Value], label: str) -> None:
        """Publish a sign of life; `label` begins the detail of its id."""
        detail = details.format_sign(label, self._run, next(self._signs))
        await self._publish(build_sign, detail=detail)

    async def publish(self, data: Value, *, id_: str | None = None, detail: str = "") -> None:
        """Raises BusUnavailable when the bus stays away longer than the worker waits."""
        await self._publish(lambda: data, id_=id_, detail=detail)

    async def deliver(self, result: Value) -> None:
        """Hand the result of the work to the recorder. Raises as `publish` does."""

        async def publish() -> None:
            dispatch = self._lease.dispatch
            envelope = self._events.build_result(
                result,
                company=dispatch.company,
                subject=dispatch.subject_id,
                attempt=dispatch.attempt,
                at=self._clock.now(),
            )
            await self._bus.publish_result(envelope)

        await self._patience.persist(waits.BUS, publish)
        self.spoke_at = self._clock.monotonic()

    async def _publish(
        self, build_data: Callable[[], Value], *, id_: str | None = None, detail: str = ""
    ) -> None:
        async def publish() -> int:
            # Built for each try: while the bus is away the run gets further, and once it is back a
            # later attempt may be adopted and announced before the next try. What then names the
            # attempt before is dropped by everyone who reads it, be it the result of the work.
            dispatch = self._lease.dispatch
            envelope = self._events.build_event(
                build_data(),
                company=dispatch.company,
                subject=dispatch.subject_id,
                attempt=dispatch.attempt,
                id_=id_,
                detail=detail,
                at=self._clock.now(),
            )
            return await self._bus.publish_event(envelope)

        await self._patience.persist(waits.BUS, publish)
        self.spoke_at = self._clock.monotonic()
