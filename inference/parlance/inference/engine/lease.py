"""The right to do a piece of work: its newest message, kept alive while the work runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

import structlog
from parlance.contracts.bus.jobs import Dispatch
from parlance.inference.engine.ports import JobDelivery, WorkBus
from parlance.runtime import tasks
from parlance.runtime.errors import BusUnavailable

_log = structlog.get_logger(__name__)

D = TypeVar("D", bound=Dispatch)


class Lease(Generic[D]):
    """Holds one message; a newer one for the same work can take its place."""

    def __init__(self, bus: WorkBus, delivery: JobDelivery[D]) -> None:
        self._bus = bus
        self._delivery = delivery
        self._epoch = bus.jobs_epoch
        self.deliveries = 1
        """Of the message that is held, to this run."""

    @property
    def dispatch(self) -> D:
        return self._delivery.value

    @property
    def earlier_deliveries(self) -> int:
        """Of the message that is held, to other runs."""
        return self._delivery.attempts - self.deliveries

    @property
    def delivery(self) -> JobDelivery[D] | None:
        """The message to answer; None when it was lost with its stream. To ack by an old handle
        would take the message that has the same number in the new stream."""
        return self._delivery if self._bus.jobs_epoch == self._epoch else None

    async def adopt(self, newer: JobDelivery[D]) -> bool:
        """Take a message that came while the work runs; True when it is a new attempt.

        A redelivery of the same message (its heartbeats were lost) replaces the old handle. A
        message of a later attempt does so too, and the old one is acked away. One of an earlier
        attempt has nothing left to ask for.
        """
        held, held_dispatch = self.delivery, self.dispatch
        if newer.value.attempt < held_dispatch.attempt:
            await _ack_away(newer)
            return False
        self._delivery, self._epoch = newer, self._bus.jobs_epoch
        is_same = held is not None and newer.sequence == held.sequence
        self.deliveries = self.deliveries + 1 if is_same else newer.attempts
        if held is not None and not is_same:
            await _ack_away(held)
        return newer.value.attempt > held_dispatch.attempt

    @asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[None]:
        """Tell the bus, from a task of its own, that the work goes on."""
        seconds = self._bus.job_heartbeat_seconds
        async with tasks.running_later(seconds, self._beat, name="heartbeat"):
            yield

    async def _beat(self) -> None:
        while True:
            try:
                if self.delivery is not None:
                    await self.delivery.in_progress()
            except BusUnavailable as exc:
                # The next beat may get through; if none does, the message goes to another worker
                # and whatever is done twice is harmless.
                _log.warning("heartbeat lost", subject=self.dispatch.subject_id, error=str(exc))
            await asyncio.sleep(self._bus.job_heartbeat_seconds)


async def _ack_away(delivery: JobDelivery[Dispatch]) -> None:
    """Of a message that asks for nothing any more. If the ack is lost, it comes again and is acked
    away again."""
    try:
        await delivery.ack()
    except BusUnavailable as exc:
        _log.warning("ack lost", subject=delivery.value.subject_id, error=str(exc))
