import asyncio

from parlance.contracts.bus.calls import CallDispatch
from parlance.inference.engine.lease import Lease
from parlance.runtime.errors import BusUnavailable

from tests.unit.inference import fakes
from tests.unit.inference.fakes import FakeBus, FakeDelivery


async def test_a_redelivery_replaces_the_handle_and_is_no_new_attempt() -> None:
    held = FakeDelivery(fakes.build_dispatch(), sequence=7)
    again = FakeDelivery(fakes.build_dispatch(), sequence=7, attempts=2)
    lease = Lease(FakeBus(), held)

    assert await lease.adopt(again) is False
    assert lease.delivery is again
    assert held.answers == again.answers == []


async def test_a_later_attempt_takes_over_and_the_old_message_is_acked() -> None:
    held = FakeDelivery(fakes.build_dispatch(attempt=1), sequence=7)
    newer = FakeDelivery(fakes.build_dispatch(attempt=2), sequence=9)
    lease = Lease(FakeBus(), held)

    assert await lease.adopt(newer) is True
    assert lease.dispatch.attempt == 2
    assert held.answers == ["ack"]


async def test_an_earlier_attempt_is_acked_away() -> None:
    held = FakeDelivery(fakes.build_dispatch(attempt=2), sequence=9)
    stale = FakeDelivery(fakes.build_dispatch(attempt=1), sequence=7, attempts=2)
    lease = Lease(FakeBus(), held)

    assert await lease.adopt(stale) is False
    assert lease.delivery is held
    assert stale.answers == ["ack"]


async def test_the_heartbeat_goes_to_the_newest_handle() -> None:
    held = FakeDelivery(fakes.build_dispatch(), sequence=7)
    again = FakeDelivery(fakes.build_dispatch(), sequence=7, attempts=2)
    bus = FakeBus()
    bus.job_heartbeat_seconds = 0.01
    lease = Lease(bus, held)

    async with lease.kept_alive():
        await asyncio.sleep(0.05)
        await lease.adopt(again)
        beats = held.beats
        await asyncio.sleep(0.05)

    assert beats > 0
    assert held.beats == beats
    assert again.beats > 0


async def test_a_handle_from_a_lost_stream_is_never_used_again() -> None:
    bus = FakeBus()
    bus.job_heartbeat_seconds = 0.01
    held = FakeDelivery(fakes.build_dispatch(), sequence=7)
    lease = Lease(bus, held)

    bus.jobs_epoch = "second"
    async with lease.kept_alive():
        await asyncio.sleep(0.05)

    assert lease.delivery is None
    assert held.beats == 0
    assert lease.dispatch.attempt == 1


async def test_after_a_lost_stream_the_message_that_is_sent_again_is_held() -> None:
    bus = FakeBus()
    held = FakeDelivery(fakes.build_dispatch(), sequence=7)
    again = FakeDelivery(fakes.build_dispatch(), sequence=1)
    lease = Lease(bus, held)

    bus.jobs_epoch = "second"
    await lease.adopt(again)

    assert lease.delivery is again
    assert held.answers == []


async def test_an_ack_that_gets_lost_holds_nobody_up() -> None:
    class Deaf(FakeDelivery[CallDispatch]):
        async def ack(self) -> None:
            raise BusUnavailable("ack")

    lease = Lease(FakeBus(), Deaf(fakes.build_dispatch(attempt=1), sequence=7))
    newer = FakeDelivery(fakes.build_dispatch(attempt=2), sequence=9)

    assert await lease.adopt(newer) is True
    assert lease.delivery is newer
