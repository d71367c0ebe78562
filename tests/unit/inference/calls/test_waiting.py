"""What a call waits for is told while it waits: the model, the store, the address of its audio."""

import asyncio
from collections.abc import Callable

import pytest
from parlance.contracts.bus.calls import CallDispatch, Failed, Progress
from parlance.contracts.bus.envelopes import parse_data
from parlance.contracts.calls import ModelInfo
from parlance.contracts.crs.meta import Reason
from parlance.inference.asr.errors import AsrUnavailable
from parlance.inference.calls.task import Tools
from parlance.inference.engine.endings import Finished, Rejected
from parlance.runtime.clock import ManualClock
from parlance.runtime.errors import StoreUnavailable
from parlance.runtime.store import Store

from tests.unit.inference import fakes
from tests.unit.inference.fakes import FakeBus, FakeDelivery, FakeStream, FakeTranscriber


class _AbsentModel(FakeTranscriber):
    """Away until the test says otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = True

    async def identify(self) -> ModelInfo:
        if self.is_away:
            raise AsrUnavailable("UNAVAILABLE")
        return self.model


class _Address:
    """A fetcher that notes what was published before it was asked."""

    def __init__(self, bus: FakeBus, fetch: Callable[[], str | None]) -> None:
        self.seen: list[str | None] = []
        self._bus = bus
        self._fetch = fetch

    async def fetch(self, dispatch: CallDispatch) -> str:
        self.seen = _list_waits(self._bus)
        key = self._fetch()
        while key is None:
            await asyncio.sleep(1)
        return key


def _list_waits(bus: FakeBus) -> list[str | None]:
    signs = [event for event in bus.events if event.type == "call.progress"]
    return [parse_data(event, Progress).waiting_for for event in signs]


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_model_that_is_away_is_told_when_it_stays_away(
    bus: FakeBus, objects: Store, stream: FakeStream
) -> None:
    model, clock = _AbsentModel(), ManualClock()
    tools = fakes.build_tools(objects, stream, model)
    runner = fakes.build_runner(
        bus, tools, fakes.build_delivery(bus), clock=clock, patience_seconds=60
    )
    run = asyncio.create_task(runner.run())

    await asyncio.sleep(0.5)
    at_first = _list_waits(bus)
    clock.advance(3)
    await _until(lambda: bool(_list_waits(bus)))
    told = _list_waits(bus)
    model.is_away = False

    assert isinstance(await run, Finished)
    assert at_first == []
    assert told == [Reason.WAITING_FOR_MODEL]


async def test_a_model_that_is_away_in_mid_call_is_told(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    clock = ManualClock()
    transcriber.failures = [AsrUnavailable("UNAVAILABLE")] * 1_000
    runner = fakes.build_runner(
        bus, tools, fakes.build_delivery(bus), clock=clock, patience_seconds=60
    )
    run = asyncio.create_task(runner.run())
    await _until(lambda: bool(transcriber.requests))
    clock.advance(3)
    await _until(lambda: bool(_list_waits(bus)))
    told = _list_waits(bus)
    transcriber.failures.clear()

    assert isinstance(await run, Finished)
    assert told == [Reason.WAITING_FOR_MODEL]


async def test_a_store_that_is_away_is_told(
    bus: FakeBus, tools: Tools, objects: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, put_bytes, is_away = ManualClock(), objects.put_bytes, True

    async def put(key: str, data: bytes) -> None:
        if is_away:
            raise StoreUnavailable("put")
        await put_bytes(key, data)

    monkeypatch.setattr(objects, "put_bytes", put)
    runner = fakes.build_runner(
        bus, tools, fakes.build_delivery(bus), clock=clock, patience_seconds=60
    )
    run = asyncio.create_task(runner.run())
    await _until(lambda: "segment" in bus.types)
    clock.advance(3)
    await _until(lambda: bool(_list_waits(bus)))
    told, is_away = _list_waits(bus), False

    assert isinstance(await run, Finished)
    assert told == [Reason.WAITING_FOR_STORE]


async def test_the_fetching_of_an_address_is_told_before_it_begins(
    bus: FakeBus, objects: Store, stream: FakeStream, transcriber: FakeTranscriber
) -> None:
    address = _Address(bus, lambda: fakes.AUDIO_KEY)
    tools = fakes.build_tools(objects, stream, transcriber, fetcher=address)
    delivery = FakeDelivery(fakes.build_dispatch(object_key=None, uri="https://pbx.example/1"))

    ending = await fakes.build_runner(bus, tools, delivery).run()

    assert isinstance(ending, Finished)
    assert address.seen == [Reason.FETCHING_AUDIO]
    assert bus.types[:2] == ["progress", "started"]


async def test_fetching_ends_when_the_time_of_the_job_is_over(
    bus: FakeBus, objects: Store, stream: FakeStream, transcriber: FakeTranscriber
) -> None:
    tools = fakes.build_tools(objects, stream, transcriber, fetcher=_Address(bus, lambda: None))
    dispatch = fakes.build_dispatch(object_key=None, uri="https://pbx.example/1", seconds_left=0.05)

    async with asyncio.timeout(5):
        ending = await fakes.build_runner(bus, tools, FakeDelivery(dispatch)).run()

    assert isinstance(ending, Rejected)
    failed = parse_data(bus.find("call.failed"), Failed)
    assert (failed.reason, failed.code) == ("DeadlineExceeded", "deadline_exceeded")
