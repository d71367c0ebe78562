"""Whether a call is a run's to do: lost runs, and the doubt about them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from parlance.contracts.bus.calls import CallDispatch, Failed
from parlance.contracts.bus.envelopes import parse_data
from parlance.inference.calls.task import Tools
from parlance.inference.engine.endings import Crashed, Finished, Rejected, Settled
from parlance.inference.engine.ports import StoredEvent
from parlance.inference.engine.runner import Runner
from parlance.inference.engine.signs import QUIET_SECONDS

from tests.unit.inference import fakes
from tests.unit.inference.fakes import FakeBus, FakeDelivery, FakeTranscriber


class Doubts:
    """The waits of a run in doubt, each ended by the test."""

    def __init__(self) -> None:
        self.begun = 0
        self._ended = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        assert seconds > QUIET_SECONDS
        self.begun += 1
        await self._ended.acquire()

    async def until(self, begun: int) -> None:
        async with asyncio.timeout(5):
            while self.begun < begun:
                await asyncio.sleep(0.001)

    def end_one(self) -> None:
        self._ended.release()


def _runner(
    bus: FakeBus, tools: Tools, delivery: FakeDelivery[CallDispatch], doubts: Doubts | None = None
) -> Runner[CallDispatch]:
    sleep = doubts.sleep if doubts is not None else asyncio.sleep
    return fakes.build_runner(bus, tools, delivery, sleep=sleep)


async def test_a_call_that_took_its_worker_down_too_often_fails(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    fakes.lose_runs(bus, 4)
    delivery, doubts = fakes.build_delivery(bus, attempts=5), Doubts()
    doubts.end_one()

    ending = await _runner(bus, tools, delivery, doubts).run()

    assert isinstance(ending, Rejected)
    assert bus.log == ["call.progress", "call.failed", "term"]
    assert parse_data(bus.find("call.failed"), Failed).reason == "BackoffLimitExceeded"
    assert transcriber.requests == []


async def test_a_call_that_another_worker_is_still_heard_of_does_not_fail(
    bus: FakeBus, tools: Tools
) -> None:
    """NATS was away: nobody heard the other one's heartbeats, and the message came here."""
    fakes.lose_runs(bus, 4)
    doubts = Doubts()
    run = asyncio.create_task(
        _runner(bus, tools, fakes.build_delivery(bus, attempts=5), doubts).run()
    )
    for number in range(1, 4):
        await doubts.until(number)
        await bus.publish_event(fakes.build_sign(number))
        doubts.end_one()
    await doubts.until(4)

    await _runner(bus, tools, fakes.build_delivery(bus)).run()
    doubts.end_one()

    assert isinstance(await run, Settled)
    assert "failed" not in bus.types


async def test_two_workers_in_doubt_are_no_sign_of_life_to_each_other(
    bus: FakeBus, tools: Tools
) -> None:
    fakes.lose_runs(bus, 4)
    doubts = Doubts()
    runs = [
        _runner(bus, tools, fakes.build_delivery(bus, attempts=n), doubts).run() for n in (5, 6)
    ]
    running = asyncio.gather(*runs)
    await doubts.until(2)
    doubts.end_one()
    doubts.end_one()

    assert [type(ending) for ending in await running] == [Rejected, Rejected]
    assert bus.types.count("failed") == 1


async def test_a_run_in_doubt_goes_on_when_the_other_one_hands_the_call_back(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    doubts, other = Doubts(), _runner(bus, tools, fakes.build_delivery(bus, backoff_limit=0))
    others_run = await fakes.start_run(other, transcriber)
    doubtful = _runner(bus, tools, fakes.build_delivery(bus, attempts=2, backoff_limit=0), doubts)
    run = asyncio.create_task(doubtful.run())
    await doubts.until(1)

    other.drain()
    await others_run
    transcriber.open.set()
    doubts.end_one()

    assert isinstance(await run, Finished)


@pytest.mark.parametrize(("attempt", "epoch"), [(2, "first"), (1, "second")])
async def test_a_message_that_is_adopted_in_doubt_has_no_lost_runs(
    bus: FakeBus, tools: Tools, attempt: int, epoch: str
) -> None:
    """A later attempt, or the same one sent again after all of NATS was lost."""
    fakes.lose_runs(bus, 4)
    doubts = Doubts()
    runner = _runner(bus, tools, fakes.build_delivery(bus, attempts=5), doubts)
    run = asyncio.create_task(runner.run())
    await doubts.until(1)
    bus.jobs_epoch = epoch
    newer = fakes.build_delivery(bus, attempt=attempt, sequence=9)
    assert await runner.adopt(newer)
    doubts.end_one()

    assert isinstance(await run, Finished)
    assert newer.answers == ["ack"]


async def test_a_message_that_is_lost_in_doubt_fails_no_call(bus: FakeBus, tools: Tools) -> None:
    fakes.lose_runs(bus, 4)
    doubts, delivery = Doubts(), fakes.build_delivery(bus, attempts=5)
    run = asyncio.create_task(_runner(bus, tools, delivery, doubts).run())
    await doubts.until(1)
    bus.jobs_epoch = "second"
    doubts.end_one()

    assert isinstance(await run, Settled)
    assert delivery.answers == []
    assert "failed" not in bus.types


async def test_a_message_that_comes_again_while_the_call_runs_is_no_lost_run(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    runner = _runner(bus, tools, fakes.build_delivery(bus))
    run = await fakes.start_run(runner, transcriber)
    for attempts in range(2, 6):
        await runner.adopt(fakes.build_delivery(bus, attempts=attempts))
    runner.drain()
    await run
    transcriber.open.set()

    ending = await _runner(bus, tools, fakes.build_delivery(bus, attempts=6)).run()

    assert isinstance(ending, Finished)


async def test_being_handed_back_often_is_no_reason_to_fail(bus: FakeBus, tools: Tools) -> None:
    for delivery in range(1, 5):
        handed_back = _runner(bus, tools, fakes.build_delivery(bus, attempts=delivery))
        handed_back.drain()
        await handed_back.run()

    ending = await _runner(bus, tools, fakes.build_delivery(bus, attempts=5)).run()

    assert isinstance(ending, Finished)


async def test_deliveries_that_no_run_took_do_not_fail_a_call(bus: FakeBus, tools: Tools) -> None:
    """Given back by workers that shut down, or dropped with their connections."""
    ending = await _runner(bus, tools, fakes.build_delivery(bus, attempts=9)).run()

    assert isinstance(ending, Finished)


async def test_a_run_that_is_lost_before_its_first_result_counts(
    bus: FakeBus, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the first delivery's, whose events are not held up for that."""

    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(tools.transcriber, "identify", never)
    for attempts in range(1, 4):
        delivery = fakes.build_delivery(bus, attempts=attempts, backoff_limit=1)
        run = asyncio.create_task(_runner(bus, tools, delivery).run())
        for _ in range(100):
            await asyncio.sleep(0)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
    doubts = Doubts()
    doubts.end_one()

    last = fakes.build_delivery(bus, attempts=4, backoff_limit=1)
    ending = await _runner(bus, tools, last, doubts).run()

    assert isinstance(ending, Rejected)
    assert ending.reason == "BackoffLimitExceeded"


async def test_a_run_that_crashes_before_its_first_event_counts(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash() -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(transcriber, "identify", crash)
    doubts = Doubts()
    doubts.end_one()
    deliveries = [
        fakes.build_delivery(bus, attempts=attempts, backoff_limit=1) for attempts in range(1, 4)
    ]

    endings = [await _runner(bus, tools, delivery, doubts).run() for delivery in deliveries]

    assert [type(ending) for ending in endings] == [Crashed, Crashed, Rejected]


async def test_a_crash_before_the_lost_runs_are_counted_counts_as_one(
    bus: FakeBus, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_: str) -> AsyncIterator[StoredEvent]:
        raise RuntimeError("a defect in reading")

    monkeypatch.setattr(bus, "read_events", crash)
    earlier, last = (fakes.build_delivery(bus, attempts=attempts) for attempts in (4, 5))

    endings = [await _runner(bus, tools, delivery).run() for delivery in (earlier, last)]

    assert [type(ending) for ending in endings] == [Crashed, Rejected]
    assert parse_data(bus.find("call.failed"), Failed).reason == "BackoffLimitExceeded"
    assert last.answers == ["term"]


async def test_runs_that_handed_the_call_back_do_not_count_for_a_crash_in_mid_history(
    bus: FakeBus, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    for delivery in range(1, 5):
        handed_back = _runner(bus, tools, fakes.build_delivery(bus, attempts=delivery))
        handed_back.drain()
        await handed_back.run()
    read_events = bus.read_events

    async def crash_at_the_end(filter_subject: str) -> AsyncIterator[StoredEvent]:
        async for stored in read_events(filter_subject):
            yield stored
        raise RuntimeError("a defect in reading")

    monkeypatch.setattr(bus, "read_events", crash_at_the_end)

    ending = await _runner(bus, tools, fakes.build_delivery(bus, attempts=5)).run()

    assert isinstance(ending, Crashed)
