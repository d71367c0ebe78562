import asyncio
import dataclasses

import numpy as np
import pytest
from parlance.contracts.bus.messages import (
    Analyzed,
    ControlAction,
    Envelope,
    Failed,
    Retrying,
    Started,
    Transcribed,
    parse_data,
)
from parlance.contracts.calls import Transcript
from parlance.inference.asr.errors import AsrFaulted, AsrUnavailable
from parlance.inference.audio.packer import Piece
from parlance.inference.worker.call import Tools
from parlance.inference.worker.endings import (
    Crashed,
    Finished,
    HandedBack,
    Rejected,
    Settled,
    Stopped,
)
from parlance.inference.worker.reporter import QUIET_SECONDS
from parlance.inference.worker.runner import CallRunner
from parlance.media.errors import UndecodableAudio
from parlance.runtime.clock import SystemClock
from parlance.runtime.store import Store

from tests.unit.inference.worker import fakes
from tests.unit.inference.worker.fakes import FakeBus, FakeDelivery, FakeStream, FakeTranscriber


@pytest.fixture
def bus() -> FakeBus:
    return FakeBus()


@pytest.fixture
def transcriber() -> FakeTranscriber:
    return FakeTranscriber()


@pytest.fixture
def stream() -> FakeStream:
    return FakeStream([fakes.build_window(n) for n in range(3)])


@pytest.fixture
def tools(objects: Store, stream: FakeStream, transcriber: FakeTranscriber) -> Tools:
    return fakes.build_tools(objects, stream, transcriber)


def _deliver(
    bus: FakeBus,
    *,
    attempt: int = 1,
    attempts: int = 1,
    sequence: int = 1,
    backoff_limit: int = 3,
) -> FakeDelivery:
    dispatch = fakes.build_dispatch(attempt=attempt, backoff_limit=backoff_limit)
    return FakeDelivery(dispatch, sequence=sequence, attempts=attempts, log=bus.log)


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
    bus: FakeBus, tools: Tools, delivery: FakeDelivery, doubts: Doubts | None = None
) -> CallRunner:
    sleep = doubts.sleep if doubts is not None else asyncio.sleep
    return CallRunner(bus, tools, SystemClock(), delivery, sleep=sleep)


async def _start(runner: CallRunner, transcriber: FakeTranscriber) -> asyncio.Task[object]:
    """Running, and held up by the speech model."""
    transcriber.open.clear()
    run = asyncio.create_task(runner.run())
    async with asyncio.timeout(5):
        while not transcriber.requests:
            await asyncio.sleep(0.001)
    return run


async def test_a_call_is_published_step_by_step_and_acked_last(bus: FakeBus, tools: Tools) -> None:
    delivery = _deliver(bus)

    ending = await _runner(bus, tools, delivery).run()

    assert isinstance(ending, Finished)
    assert bus.log == [
        "call.started",
        "call.segment",
        "call.segment",
        "call.segment",
        "call.transcribed",
        "call.analyzed",
        "ack",
    ]


async def test_the_artefacts_are_where_the_events_say(
    bus: FakeBus, tools: Tools, objects: Store
) -> None:
    await _runner(bus, tools, _deliver(bus)).run()

    analyzed = parse_data(bus.find("call.analyzed"), Analyzed)
    data = await objects.get_bytes(analyzed.transcript_key)
    transcript = Transcript.model_validate_json(data)
    assert [segment.text for segment in transcript.segments] == ["word 0", "word 1", "word 2"]
    assert transcript.language == "en"
    assert analyzed.segments == 3
    assert {"fetch", "transcribe", "vad", "asr_wait", "insights", "total"} <= set(analyzed.timings)
    assert await objects.get_bytes(analyzed.insights_key)


async def test_a_second_delivery_after_the_end_is_acked_without_work(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    await _runner(bus, tools, _deliver(bus)).run()
    published, asked = len(bus.events), len(transcriber.requests)
    again = _deliver(bus, attempts=2)

    ending = await _runner(bus, tools, again).run()

    assert isinstance(ending, Settled)
    assert again.answers == ["ack"]
    assert (len(bus.events), len(transcriber.requests)) == (published, asked)


async def test_a_later_attempt_uses_the_stored_transcript_again(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    await _runner(bus, tools, _deliver(bus)).run()
    asked = len(transcriber.requests)

    ending = await _runner(bus, tools, _deliver(bus, attempt=2)).run()

    assert isinstance(ending, Finished)
    assert len(transcriber.requests) == asked
    assert [e.type for e in bus.events if e.attempt == 2] == [
        "call.started",
        "call.transcribed",
        "call.analyzed",
    ]


async def test_a_run_that_follows_a_lost_one_goes_on_behind_its_windows(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber, objects: Store
) -> None:
    lost = FakeTranscriber()
    lost.delays_seconds = {2: 60.0}
    windows = [fakes.build_window(n) for n in range(3)]
    first = asyncio.create_task(
        _runner(bus, fakes.build_tools(objects, FakeStream(windows), lost), _deliver(bus)).run()
    )
    async with asyncio.timeout(5):
        while bus.types.count("segment") < 2:
            await asyncio.sleep(0.001)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    await _runner(bus, tools, _deliver(bus, attempts=2)).run()

    assert [request.pcm[0] for request in transcriber.requests] == [2]
    assert bus.types.count("segment") == 3
    started = [parse_data(e, Started) for e in bus.events if e.type == "call.started"]
    assert [event.resumed_windows for event in started] == [0, 2]
    assert parse_data(bus.find("call.transcribed"), Transcribed).segments == 3


async def test_a_cancelled_call_is_not_started(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    bus.notes[fakes.CALL_ID] = ControlAction.CANCEL
    delivery = _deliver(bus)

    ending = await _runner(bus, tools, delivery).run()

    assert isinstance(ending, Stopped)
    assert bus.log == ["call.cancelled", "ack"]
    assert transcriber.requests == []


async def test_cancelling_stops_a_running_call_at_once(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    transcriber.open.clear()
    runner = _runner(bus, tools, _deliver(bus))
    run = asyncio.create_task(runner.run())
    async with asyncio.timeout(5):
        while not transcriber.requests:
            await asyncio.sleep(0.001)

    runner.heed(ControlAction.CANCEL)

    assert isinstance(await run, Stopped)
    assert bus.log == ["call.started", "call.cancelled", "ack"]
    assert transcriber.running == 0


@pytest.mark.parametrize("how", ["drain", "pause"])
async def test_a_drained_or_paused_call_is_handed_back(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber, how: str
) -> None:
    transcriber.open.clear()
    delivery = _deliver(bus)
    runner = _runner(bus, tools, delivery)
    run = asyncio.create_task(runner.run())
    async with asyncio.timeout(5):
        while not transcriber.requests:
            await asyncio.sleep(0.001)

    if how == "drain":
        runner.drain()
    else:
        runner.heed(ControlAction.PAUSE)

    assert isinstance(await run, HandedBack)
    assert bus.log[:2] == ["call.started", "call.retrying"]
    assert parse_data(bus.find("call.retrying"), Retrying).next_attempt == 1
    assert delivery.answers[0].startswith("nak")


async def test_bad_input_is_told_before_the_message_is_taken_away(
    bus: FakeBus, transcriber: FakeTranscriber, objects: Store
) -> None:
    stream = FakeStream([fakes.build_window(0)], failure=UndecodableAudio("it is all corrupt"))
    tools = fakes.build_tools(objects, stream, transcriber)

    ending = await _runner(bus, tools, _deliver(bus)).run()

    assert isinstance(ending, Rejected)
    assert bus.log[-2:] == ["call.failed", "term"]
    failed = parse_data(bus.find("call.failed"), Failed)
    assert (failed.reason, failed.code) == ("UndecodableAudio", "undecodable_audio")
    assert failed.message == "it is all corrupt"


async def test_a_model_server_that_stays_away_hands_the_message_back(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    transcriber.failures = [AsrUnavailable("UNAVAILABLE")] * 10
    delivery = _deliver(bus)

    ending = await _runner(bus, tools, delivery).run()

    assert isinstance(ending, HandedBack)
    assert parse_data(bus.find("call.retrying"), Retrying).reason == "WaitingForModel"
    assert delivery.answers == ["nak 5"]


async def test_a_model_that_fails_on_the_call_counts_as_a_lost_run(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    transcriber.failures = [AsrFaulted("INTERNAL")] * 10
    delivery = _deliver(bus)

    ending = await _runner(bus, tools, delivery).run()

    assert isinstance(ending, Crashed)
    assert delivery.answers == ["nak 5"]
    assert "retrying" not in bus.types


async def test_a_call_that_took_its_worker_down_too_often_fails(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    delivery, doubts = _deliver(bus, attempts=5), Doubts()
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
    doubts = Doubts()
    run = asyncio.create_task(_runner(bus, tools, _deliver(bus, attempts=5), doubts).run())
    for number in range(1, 4):
        await doubts.until(number)
        await bus.publish_event(fakes.build_sign(number))
        doubts.end_one()
    await doubts.until(4)

    await _runner(bus, tools, _deliver(bus)).run()
    doubts.end_one()

    assert isinstance(await run, Settled)
    assert "failed" not in bus.types


async def test_two_workers_in_doubt_are_no_sign_of_life_to_each_other(
    bus: FakeBus, tools: Tools
) -> None:
    doubts = Doubts()
    runs = [_runner(bus, tools, _deliver(bus, attempts=n), doubts).run() for n in (5, 6)]
    running = asyncio.gather(*runs)
    await doubts.until(2)
    doubts.end_one()
    doubts.end_one()

    assert [type(ending) for ending in await running] == [Rejected, Rejected]
    assert bus.types.count("failed") == 1


async def test_a_run_in_doubt_goes_on_when_the_other_one_hands_the_call_back(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    doubts, other = Doubts(), _runner(bus, tools, _deliver(bus, backoff_limit=0))
    others_run = await _start(other, transcriber)
    doubtful = _runner(bus, tools, _deliver(bus, attempts=2, backoff_limit=0), doubts)
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
    doubts = Doubts()
    runner = _runner(bus, tools, _deliver(bus, attempts=5), doubts)
    run = asyncio.create_task(runner.run())
    await doubts.until(1)
    bus.jobs_epoch = epoch
    newer = _deliver(bus, attempt=attempt, sequence=9)
    assert await runner.adopt(newer)
    doubts.end_one()

    assert isinstance(await run, Finished)
    assert newer.answers == ["ack"]


async def test_a_message_that_is_lost_in_doubt_fails_no_call(bus: FakeBus, tools: Tools) -> None:
    doubts, delivery = Doubts(), _deliver(bus, attempts=5)
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
    runner = _runner(bus, tools, _deliver(bus))
    run = await _start(runner, transcriber)
    for attempts in range(2, 6):
        await runner.adopt(_deliver(bus, attempts=attempts))
    runner.drain()
    await run
    transcriber.open.set()

    ending = await _runner(bus, tools, _deliver(bus, attempts=6)).run()

    assert isinstance(ending, Finished)


async def test_a_run_that_is_answering_its_message_adopts_no_other(
    bus: FakeBus, tools: Tools
) -> None:
    held, newer = _deliver(bus, attempt=1, sequence=1), _deliver(bus, attempt=2, sequence=2)
    runner = _runner(bus, tools, held)
    adopted = []

    async def ack() -> None:
        adopted.append(await runner.adopt(newer))

    held.ack = ack  # type: ignore[method-assign] # just then
    await runner.run()

    assert adopted == [False]
    assert newer.answers == []


async def test_being_handed_back_often_is_no_reason_to_fail(bus: FakeBus, tools: Tools) -> None:
    for delivery in range(1, 5):
        handed_back = _runner(bus, tools, _deliver(bus, attempts=delivery))
        handed_back.drain()
        await handed_back.run()

    ending = await _runner(bus, tools, _deliver(bus, attempts=5)).run()

    assert isinstance(ending, Finished)


async def test_a_later_attempt_that_comes_while_the_call_runs_is_adopted(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    held = _deliver(bus, attempt=1, sequence=1)
    newer = _deliver(bus, attempt=2, sequence=2)
    runner = _runner(bus, tools, held)
    run = await _start(runner, transcriber)

    assert await runner.adopt(newer)
    await asyncio.sleep(0)
    transcriber.open.set()
    await run

    assert (held.answers, newer.answers) == (["ack"], ["ack"])
    assert [(e.type, e.attempt) for e in bus.events if e.type != "call.segment"] == [
        ("call.started", 1),
        ("call.started", 2),
        ("call.transcribed", 2),
        ("call.analyzed", 2),
    ]


async def test_without_a_bus_the_message_stays_unanswered(
    bus: FakeBus, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    from parlance.runtime.errors import BusUnavailable

    async def refuse(envelope: Envelope) -> int:
        raise BusUnavailable("publish")

    monkeypatch.setattr(bus, "publish_event", refuse)
    delivery = _deliver(bus)

    ending = await _runner(bus, tools, delivery).run()

    assert isinstance(ending, HandedBack)
    assert delivery.answers == []


async def test_what_one_channel_only_picks_up_from_the_other_is_left_out(
    bus: FakeBus, objects: Store
) -> None:
    """Both channels carry the same words at the same time, the second one faintly."""
    loud = dataclasses.replace(
        fakes.build_window(0), samples=np.full(16_000, 8000, np.int16), pieces=(Piece(0, 0, 1),)
    )
    faint = dataclasses.replace(loud, index=1, channel=1, samples=np.full(16_000, 800, np.int16))
    transcriber = FakeTranscriber()
    transcriber.text = "that is what I said"
    tools = fakes.build_tools(objects, FakeStream([loud, faint], channels=2), transcriber)

    await _runner(bus, tools, _deliver(bus)).run()

    analyzed = parse_data(bus.find("call.analyzed"), Analyzed)
    transcript = Transcript.model_validate_json(await objects.get_bytes(analyzed.transcript_key))
    assert [segment.channel for segment in transcript.segments] == [0]
