import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping

import pytest
from parlance.contracts.bus.calls import CallDispatch, SegmentsReady
from parlance.contracts.bus.envelopes import parse_data
from parlance.contracts.calls import ChannelPolicy, ModelInfo, Priority, Role
from parlance.contracts.ids import CallId
from parlance.contracts.tensors import AsrWindow
from parlance.inference.asr.errors import AsrUnavailable
from parlance.inference.asr.transcriber import WindowRequest
from parlance.inference.calls.errors import ModelChanged
from parlance.inference.calls.progress import CallProgress
from parlance.inference.calls.transcription import Transcription
from parlance.inference.engine.gate import Gate
from parlance.media.errors import UndecodableAudio
from prometheus_client import REGISTRY

from tests.unit.inference import fakes
from tests.unit.inference.fakes import FakeBus, FakeStream, FakeTranscriber


def _build(
    bus: FakeBus,
    transcriber: FakeTranscriber,
    *,
    dispatch: CallDispatch | None = None,
    per_call: int = 4,
    per_worker: int = 8,
    gate: Gate | None = None,
    done: Mapping[int, SegmentsReady] | None = None,
    patience_seconds: float = 0.0,
) -> Transcription:
    dispatch = dispatch or fakes.build_dispatch()
    patience = fakes.build_patience(patience_seconds)
    return Transcription(
        transcriber=transcriber,
        patience=patience,
        gate=gate or Gate(per_worker),
        windows_per_call=per_call,
        reporter=fakes.build_reporter(bus, dispatch, patience=patience),
        progress=CallProgress(),
        dispatch=dispatch,
        model=fakes.MODEL,
        done=done or {},
    )


def _published(bus: FakeBus) -> list[SegmentsReady]:
    return [parse_data(event, SegmentsReady) for event in bus.events]


async def test_windows_are_published_in_order_however_they_finish() -> None:
    bus, transcriber = FakeBus(), FakeTranscriber()
    transcriber.delays_seconds = {0: 0.05, 1: 0.0, 2: 0.03}

    await _build(bus, transcriber).run(FakeStream([fakes.build_window(n) for n in range(5)]))

    assert [ready.window for ready in _published(bus)] == [0, 1, 2, 3, 4]


async def test_a_window_is_published_while_the_next_ones_are_still_being_made() -> None:
    bus, transcriber = FakeBus(), FakeTranscriber()
    more = asyncio.Event()

    class _Slow(FakeStream):
        async def windows(self):  # type: ignore[no-untyped-def]
            yield fakes.build_window(0)
            await more.wait()
            yield fakes.build_window(1)

    run = asyncio.create_task(_build(bus, transcriber).run(_Slow([])))
    async with asyncio.timeout(5):
        while not bus.events:
            await asyncio.sleep(0.001)
    more.set()
    await run

    assert len(bus.events) == 2


async def test_no_more_windows_are_cut_than_may_be_on_their_way() -> None:
    bus, transcriber = FakeBus(), FakeTranscriber()
    transcriber.open.clear()
    stream = FakeStream([fakes.build_window(n) for n in range(50)])

    run = asyncio.create_task(_build(bus, transcriber, per_call=4).run(stream))
    await asyncio.sleep(0.05)
    held_at_first = stream.made
    transcriber.open.set()
    await run

    assert held_at_first == 1 + 1  # one is made and waits for room
    assert transcriber.most_running <= 4
    assert len(_published(bus)) == 50


@pytest.mark.parametrize("per_call", [1, 2, 5])
async def test_a_call_begins_with_one_window_and_gets_one_more_for_each_that_is_done(
    per_call: int,
) -> None:
    transcriber = _OneByOne()
    stream = FakeStream([fakes.build_window(n) for n in range(12)])
    run = asyncio.create_task(_build(FakeBus(), transcriber, per_call=per_call).run(stream))
    on_the_way = []
    for done in range(8):
        await transcriber.until_asked(f"{fakes.CALL_ID}/{done}")
        await _let_run()
        on_the_way.append(len(transcriber.asked) - done)
        await transcriber.answer(f"{fakes.CALL_ID}/{done}")
    for window in range(8, 12):
        await transcriber.answer(f"{fakes.CALL_ID}/{window}")
    await run

    assert on_the_way == [min(1 + done, per_call, 12 - done) for done in range(8)]


async def test_of_calls_that_begin_together_each_gets_its_first_segment_before_more() -> None:
    """However full the gate is: the model gets the first windows of all, and nothing else yet."""
    transcriber, gate = _OneByOne(), Gate(1)
    names = ["a", "b", "c", "d"]
    buses = {name: FakeBus() for name in names}
    runs = [
        asyncio.create_task(
            _build(
                buses[name],
                transcriber,
                dispatch=fakes.build_dispatch(call_id=CallId(name)),
                gate=gate,
            ).run(FakeStream([fakes.build_window(n) for n in range(3)]))
        )
        for name in names
    ]
    for name in names:
        await transcriber.until_asked(f"{name}/0")
    await _let_run()
    asked_at_first = list(transcriber.asked)
    for name in reversed(names):
        await transcriber.answer(f"{name}/0")
    await _until(lambda: all(bus.types == ["segment"] for bus in buses.values()))
    for window in (1, 2):
        for name in names:
            transcriber.may_answer[f"{name}/{window}"].set()
    await asyncio.gather(*runs)

    assert asked_at_first == ["a/0", "b/0", "c/0", "d/0"]


async def _let_run() -> None:
    """Turns of the event loop, in which everything happens that waits for nothing else."""
    for _ in range(50):
        await asyncio.sleep(0)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


async def test_the_worker_as_a_whole_is_bounded_too() -> None:
    bus, transcriber = FakeBus(), FakeTranscriber()
    transcriber.delays_seconds = dict.fromkeys(range(40), 0.002)
    stream = FakeStream([fakes.build_window(n) for n in range(40)])

    await _build(bus, transcriber, per_call=16, per_worker=3).run(stream)

    assert transcriber.most_running <= 3 + 1  # the first window of a call passes by


async def test_a_watched_call_goes_ahead_of_bulk_windows_that_wait_already() -> None:
    """The worker's one place is taken, and three windows of a bulk call wait for it."""
    transcriber, gate = _OneByOne(), Gate(1)
    windows = [fakes.build_window(n) for n in range(7)]
    bulk, watched = (
        _build(
            FakeBus(),
            transcriber,
            dispatch=fakes.build_dispatch(call_id=CallId(name), priority=priority),
            gate=gate,
        )
        for name, priority in (("bulk", Priority.BULK), ("watched", Priority.INTERACTIVE))
    )
    runs = [asyncio.create_task(bulk.run(FakeStream(windows)))]
    for window in range(3):
        await transcriber.answer(f"bulk/{window}")
    await transcriber.until_asked("bulk/3")

    runs.append(asyncio.create_task(watched.run(FakeStream(windows[:2]))))
    await transcriber.answer("watched/0")
    await _let_run()  # so that its second window waits as well
    for request_id in ("bulk/3", "watched/1", "bulk/4", "bulk/5", "bulk/6"):
        transcriber.may_answer[request_id].set()
    await asyncio.gather(*runs)

    assert transcriber.asked.index("watched/1") < transcriber.asked.index("bulk/4")


class _OneByOne(FakeTranscriber):
    """Answers the request that the test names."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.may_answer = defaultdict[str, asyncio.Event](asyncio.Event)

    async def transcribe(self, request: WindowRequest) -> AsrWindow:
        self.asked.append(request.request_id)
        await self.may_answer[request.request_id].wait()
        return await super().transcribe(request)

    async def until_asked(self, request_id: str) -> None:
        await _until(lambda: request_id in self.asked)

    async def answer(self, request_id: str) -> None:
        await self.until_asked(request_id)
        self.may_answer[request_id].set()


async def test_windows_of_an_earlier_run_are_neither_sent_nor_published_again() -> None:
    bus, transcriber = FakeBus(), FakeTranscriber()
    await _build(bus, transcriber).run(FakeStream([fakes.build_window(n) for n in range(2)]))
    done = {ready.window: ready for ready in _published(bus)}
    again, fresh, reused = FakeBus(), FakeTranscriber(), _count_reused()

    tally = await _build(again, fresh, done=done).run(
        FakeStream([fakes.build_window(n) for n in range(4)])
    )

    assert [request.pcm[0] for request in fresh.requests] == [2, 3]
    assert [ready.window for ready in _published(again)] == [2, 3]
    assert [segment.id for segment in tally.segments] == ["0-0", "1-0", "2-0", "3-0"]
    assert _count_reused() == reused + 2


def _count_reused() -> float:
    return REGISTRY.get_sample_value("parlance_worker_reused_windows_total") or 0.0


async def test_a_window_of_the_same_model_is_published_once() -> None:
    bus, transcriber = FakeBus(), FakeTranscriber()
    await _build(bus, transcriber).run(FakeStream([fakes.build_window(0)]))
    await _build(bus, transcriber).run(FakeStream([fakes.build_window(0)]))

    assert bus.types == ["segment"]


async def test_the_first_window_goes_ahead_of_other_calls() -> None:
    bus, transcriber = FakeBus(), FakeTranscriber()
    dispatch = fakes.build_dispatch(priority=Priority.BULK)

    await _build(bus, transcriber, dispatch=dispatch).run(
        FakeStream([fakes.build_window(n) for n in range(3)])
    )

    priorities = [request.priority for request in transcriber.requests]
    assert priorities == [Priority.INTERACTIVE, Priority.BULK, Priority.BULK]


async def test_a_full_model_server_is_waited_for() -> None:
    bus, transcriber = FakeBus(), FakeTranscriber()
    transcriber.failures = [AsrUnavailable("Exceeds maximum queue size")] * 2

    await _build(bus, transcriber, patience_seconds=5).run(FakeStream([fakes.build_window(0)]))

    assert len(_published(bus)) == 1


async def test_a_model_that_changes_in_mid_call_ends_the_run() -> None:
    bus, transcriber = FakeBus(), FakeTranscriber(ModelInfo(name="base", hash="other"))

    with pytest.raises(ExceptionGroup) as raised:
        await _build(bus, transcriber).run(FakeStream([fakes.build_window(0)]))

    assert raised.value.subgroup(ModelChanged) is not None
    assert bus.events == []


async def test_a_file_that_stops_being_audio_ends_the_run() -> None:
    bus, transcriber = FakeBus(), FakeTranscriber()
    stream = FakeStream([fakes.build_window(0)], failure=UndecodableAudio("half of it is corrupt"))

    with pytest.raises(ExceptionGroup) as raised:
        await _build(bus, transcriber).run(stream)

    assert raised.value.subgroup(UndecodableAudio) is not None


async def test_channels_become_speakers_with_the_roles_of_the_job() -> None:
    bus, transcriber = FakeBus(), FakeTranscriber()
    dispatch = fakes.build_dispatch(channels=ChannelPolicy.AGENT_RIGHT)
    windows = [fakes.build_window(0, channel=0), fakes.build_window(1, channel=1)]

    await _build(bus, transcriber, dispatch=dispatch).run(FakeStream(windows, channels=2))

    assert [(ready.speaker, ready.role) for ready in _published(bus)] == [
        ("speaker_0", Role.CUSTOMER),
        ("speaker_1", Role.AGENT),
    ]


async def test_progress_never_goes_back() -> None:
    bus, transcriber = FakeBus(), FakeTranscriber()
    windows = [fakes.build_window(n) for n in (0, 3, 2)]

    await _build(bus, transcriber).run(FakeStream(windows))

    assert [ready.processed_seconds for ready in _published(bus)] == [1.0, 31.0, 31.0]
