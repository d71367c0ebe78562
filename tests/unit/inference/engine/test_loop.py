import asyncio
import functools
from collections.abc import AsyncIterator, Callable

import pytest
from parlance.contracts.bus.calls import CallDispatch
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.calls import Priority
from parlance.contracts.ids import CallId, new_call_id
from parlance.inference.engine.loop import WorkerLoop
from parlance.runtime.clock import Clock, ManualClock, SystemClock
from parlance.runtime.errors import BusUnavailable
from parlance.runtime.store import Store

from tests.unit.inference import fakes
from tests.unit.inference.fakes import FakeBus, FakeDelivery, FakeStream, FakeTranscriber


class _Rig:
    def __init__(self, objects: Store, *, slots: int, clock: Clock | None = None) -> None:
        self.bus = FakeBus()
        self.transcriber = FakeTranscriber()
        stream = FakeStream([fakes.build_window(0)])
        tools = fakes.build_tools(objects, stream, self.transcriber)
        self.loop = WorkerLoop(
            self.bus,
            [fakes.build_kind(tools)],
            clock or SystemClock(),
            fakes.build_patience(),
            slots=slots,
        )
        self.stopping = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def start(self, *, drain_seconds: float = 0.0, handover_seconds: float = 5.0) -> None:
        running = self.loop.run(
            self.stopping, drain_seconds=drain_seconds, handover_seconds=handover_seconds
        )
        self.task = asyncio.create_task(running)

    async def stop(self) -> None:
        self.stopping.set()
        if self.task is not None:
            await self.task

    def bring_another_while_answering(
        self, held: FakeDelivery[CallDispatch], *, then: Callable[[], None] = lambda: None
    ) -> list[FakeDelivery[CallDispatch]]:
        """A later attempt of the same call, which the loop has seen before `held` is acked."""
        newer: list[FakeDelivery[CallDispatch]] = []

        async def ack() -> None:
            newer.append(self.bus.deliver(fakes.build_dispatch(attempt=2), sequence=6))
            await self.until(lambda: not self.bus.lanes[Priority.STANDARD])
            for _ in range(100):  # turns of the event loop, however slow the machine is
                await asyncio.sleep(0)
            then()

        held.ack = ack  # type: ignore[method-assign] # just then
        return newer

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.002)


@pytest.fixture
async def rig(objects: Store) -> AsyncIterator[_Rig]:
    built = _Rig(objects, slots=4)
    yield built
    built.transcriber.open.set()
    await built.stop()


def _dispatches(rig: _Rig, count: int, priority: Priority) -> list[CallId]:
    ids = [new_call_id() for _ in range(count)]
    for sequence, call_id in enumerate(ids):
        dispatch = fakes.build_dispatch(call_id=call_id, priority=priority)
        rig.bus.deliver(dispatch, sequence=sequence + 1000 * list(Priority).index(priority))
    return ids


async def test_an_idle_worker_takes_a_call_of_any_lane_at_once(rig: _Rig) -> None:
    rig.start()
    for count, lane in enumerate(Priority, start=1):
        _dispatches(rig, 1, lane)
        await rig.until(functools.partial(_has_analyzed, rig, count))


def _has_analyzed(rig: _Rig, count: int) -> bool:
    return rig.bus.types.count("analyzed") == count


async def test_no_more_calls_run_than_there_are_slots(rig: _Rig) -> None:
    rig.transcriber.open.clear()
    _dispatches(rig, 10, Priority.STANDARD)

    rig.start()
    await rig.until(lambda: len(rig.transcriber.requests) == 3)
    await asyncio.sleep(0.05)

    assert len(rig.bus.lanes[Priority.STANDARD]) == 7  # one slot is kept for interactive calls
    rig.transcriber.open.set()
    await rig.until(lambda: rig.bus.types.count("analyzed") == 10)


async def test_a_call_somebody_watches_finds_a_slot_behind_any_number_of_others(rig: _Rig) -> None:
    rig.transcriber.open.clear()
    _dispatches(rig, 10, Priority.BULK)
    rig.start()
    await rig.until(lambda: len(rig.transcriber.requests) == 2)

    (watched,) = _dispatches(rig, 1, Priority.INTERACTIVE)
    await rig.until(lambda: len(rig.transcriber.requests) == 3)

    assert rig.transcriber.requests[-1].request_id.startswith(watched)


async def test_under_load_the_lanes_are_served_by_weight(objects: Store) -> None:
    rig = _Rig(objects, slots=1)
    for lane in Priority:
        _dispatches(rig, 24, lane)

    rig.start()
    await rig.until(lambda: len(rig.bus.pulled) >= 24)
    await rig.stop()

    first = rig.bus.pulled[:24]
    counts = [
        first.count(lane) for lane in (Priority.INTERACTIVE, Priority.STANDARD, Priority.BULK)
    ]
    assert counts == [16, 6, 2]


async def test_a_message_for_a_running_call_is_adopted_not_run_twice(rig: _Rig) -> None:
    rig.transcriber.open.clear()
    dispatch = fakes.build_dispatch()
    held = rig.bus.deliver(dispatch, sequence=5)
    rig.start()
    await rig.until(lambda: bool(rig.transcriber.requests))

    again = rig.bus.deliver(dispatch, sequence=5, attempts=2)
    await rig.until(lambda: not rig.bus.lanes[dispatch.priority])
    rig.transcriber.open.set()
    await rig.until(lambda: again.answers == ["ack"])

    assert held.answers == []
    assert rig.bus.types.count("analyzed") == 1


async def test_a_message_that_comes_while_a_run_answers_its_own_gets_a_run_of_its_own(
    rig: _Rig,
) -> None:
    held = rig.bus.deliver(fakes.build_dispatch(attempt=1), sequence=5)
    newer = rig.bring_another_while_answering(held)
    rig.start()
    await rig.until(lambda: bool(newer) and newer[0].answers == ["ack"])

    assert [e.attempt for e in rig.bus.events if e.type == "call.analyzed"] == [1, 2]


async def test_a_message_that_waited_for_a_run_to_end_is_not_answered_after_its_stream_was_lost(
    rig: _Rig,
) -> None:
    """Its number belongs to another message then."""
    held = rig.bus.deliver(fakes.build_dispatch(attempt=1), sequence=5)

    def lose_stream() -> None:
        rig.bus.jobs_epoch = "second"

    newer = rig.bring_another_while_answering(held, then=lose_stream)
    rig.start()
    await rig.until(lambda: bool(newer) and rig.bus.jobs_epoch == "second")
    other = rig.bus.deliver(fakes.build_dispatch(call_id=new_call_id()), sequence=7)
    await rig.until(lambda: other.answers == ["ack"])
    await rig.stop()

    assert newer[0].answers == []
    assert newer[0].beats == 0


async def test_a_note_stops_the_call_it_names_only(rig: _Rig) -> None:
    rig.transcriber.open.clear()
    cancelled, other = _dispatches(rig, 2, Priority.STANDARD)
    rig.start()
    await rig.until(lambda: len(rig.transcriber.requests) == 2)

    rig.bus.leave_note(cancelled, ControlAction.CANCEL)
    await rig.until(lambda: "cancelled" in rig.bus.types)
    rig.transcriber.open.set()
    await rig.until(lambda: "analyzed" in rig.bus.types)

    assert rig.bus.find("call.cancelled").subject == cancelled
    assert rig.bus.find("call.analyzed").subject == other


async def test_a_drain_lets_running_calls_finish(rig: _Rig) -> None:
    rig.transcriber.delays_seconds = {0: 0.2}
    (delivery,) = (rig.bus.deliver(fakes.build_dispatch()),)
    rig.start(drain_seconds=10)
    await rig.until(lambda: bool(rig.transcriber.requests))

    await rig.stop()

    assert delivery.answers == ["ack"]


async def test_a_drain_hands_back_what_does_not_finish_and_takes_nothing_new(rig: _Rig) -> None:
    rig.transcriber.open.clear()
    delivery = rig.bus.deliver(fakes.build_dispatch())
    rig.start(drain_seconds=0.05)
    await rig.until(lambda: bool(rig.transcriber.requests))

    rig.stopping.set()
    waiting = _dispatches(rig, 3, Priority.STANDARD)
    await rig.stop()

    assert delivery.answers == ["nak 0"]
    assert rig.bus.types[-1] == "retrying"
    taken = {request.request_id.split("/")[0] for request in rig.transcriber.requests}
    assert taken.isdisjoint(waiting)


async def test_a_drain_gives_back_what_its_polls_brought_though_one_of_them_fails(
    rig: _Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    gates = {priority: asyncio.Event() for priority in Priority}
    brought = [
        FakeDelivery(fakes.build_dispatch(call_id=new_call_id(), priority=priority))
        for priority in Priority
    ]

    async def pull_jobs(
        expected: object, priority: Priority, *, batch: int, wait_seconds: float
    ) -> list[FakeDelivery[CallDispatch]]:
        if not wait_seconds:
            return []
        try:
            await gates[priority].wait()
        except asyncio.CancelledError:  # it came just when the poll was cancelled
            return [each for each in brought if each.value.priority is priority]
        return []

    async def fail(delay_seconds: float) -> None:
        raise BusUnavailable("nak")

    monkeypatch.setattr(rig.bus, "pull_jobs", pull_jobs)
    monkeypatch.setattr(brought[0], "nak", fail)
    rig.start()
    await asyncio.sleep(0.05)

    await rig.stop()

    assert [each.answers for each in brought] == [[], ["nak 0"], ["nak 0"]]


async def test_a_drain_stops_pulling_before_it_waits_for_what_runs(rig: _Rig) -> None:
    rig.transcriber.open.clear()
    rig.bus.deliver(fakes.build_dispatch())
    rig.start(drain_seconds=600)
    await rig.until(lambda: bool(rig.transcriber.requests))

    rig.stopping.set()
    await rig.until(lambda: rig.bus.is_pulling_stopped)

    assert rig.task is not None
    assert not rig.task.done()


async def test_a_worker_that_drains_for_long_is_alive(objects: Store) -> None:
    clock = ManualClock()
    rig = _Rig(objects, slots=4, clock=clock)
    rig.transcriber.open.clear()
    rig.bus.deliver(fakes.build_dispatch())
    rig.start(drain_seconds=600)
    await rig.until(lambda: bool(rig.transcriber.requests))
    rig.stopping.set()
    await asyncio.sleep(0.05)

    clock.advance(61)
    problem_before_the_next_turn = rig.loop.find_problem()
    await rig.until(lambda: rig.loop.find_problem() is None)
    rig.transcriber.open.set()
    await rig.stop()

    assert problem_before_the_next_turn == "no turn for 61 s"


async def test_the_end_does_not_wait_for_a_bus_that_is_away(
    rig: _Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.transcriber.open.clear()
    delivery = rig.bus.deliver(fakes.build_dispatch())
    rig.start(drain_seconds=0.01, handover_seconds=0.05)
    await rig.until(lambda: bool(rig.transcriber.requests))
    monkeypatch.setattr(rig.bus, "publish_event", lambda _: asyncio.sleep(1_000_000))

    async with asyncio.timeout(10):
        await rig.stop()

    assert delivery.answers == []
