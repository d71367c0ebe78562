import asyncio

from parlance.inference.worker.lease import Lease

from tests.unit.inference.worker import fakes
from tests.unit.inference.worker.fakes import FakeDelivery


async def test_a_redelivery_replaces_the_handle_and_is_no_new_attempt() -> None:
    held = FakeDelivery(fakes.build_dispatch(), sequence=7)
    again = FakeDelivery(fakes.build_dispatch(), sequence=7, attempts=2)
    lease = Lease(held)

    assert await lease.adopt(again) is False
    assert lease.delivery is again
    assert held.answers == again.answers == []


async def test_a_later_attempt_takes_over_and_the_old_message_is_acked() -> None:
    held = FakeDelivery(fakes.build_dispatch(attempt=1), sequence=7)
    newer = FakeDelivery(fakes.build_dispatch(attempt=2), sequence=9)
    lease = Lease(held)

    assert await lease.adopt(newer) is True
    assert lease.dispatch.attempt == 2
    assert held.answers == ["ack"]


async def test_an_earlier_attempt_is_acked_away() -> None:
    held = FakeDelivery(fakes.build_dispatch(attempt=2), sequence=9)
    stale = FakeDelivery(fakes.build_dispatch(attempt=1), sequence=7, attempts=2)
    lease = Lease(held)

    assert await lease.adopt(stale) is False
    assert lease.delivery is held
    assert stale.answers == ["ack"]


async def test_the_heartbeat_goes_to_the_newest_handle() -> None:
    held = FakeDelivery(fakes.build_dispatch(), sequence=7)
    again = FakeDelivery(fakes.build_dispatch(), sequence=7, attempts=2)
    lease = Lease(held)

    async with lease.kept_alive(every_seconds=0.01):
        await asyncio.sleep(0.05)
        await lease.adopt(again)
        beats = held.beats
        await asyncio.sleep(0.05)

    assert beats > 0
    assert held.beats == beats
    assert again.beats > 0
