"""A whole run of a call: what is published, stored and answered, and in which order."""

import asyncio
import dataclasses
from typing import NoReturn

import numpy as np
import pytest
from parlance.contracts.analysis.insights import Insights
from parlance.contracts.bus.calls import (
    Analyzed,
    Failed,
    Progress,
    Reset,
    Retrying,
    Started,
    Transcribed,
)
from parlance.contracts.bus.envelopes import Envelope, parse_data
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.calls import ChannelPolicy, ModelInfo, Role, Stage, Transcript
from parlance.inference.asr.errors import AsrFaulted, AsrUnavailable
from parlance.inference.audio.packer import Piece
from parlance.inference.calls.task import Tools
from parlance.inference.engine.endings import (
    Crashed,
    Finished,
    HandedBack,
    Rejected,
    Settled,
    Stopped,
)
from parlance.media.errors import UndecodableAudio
from parlance.runtime.errors import Permanent
from parlance.runtime.store import Store

from tests.unit.inference import fakes
from tests.unit.inference.fakes import FakeBus, FakeDelivery, FakeStream, FakeTranscriber


async def test_a_call_is_published_step_by_step_and_acked_last(bus: FakeBus, tools: Tools) -> None:
    delivery = fakes.build_delivery(bus)

    ending = await fakes.build_runner(bus, tools, delivery).run()

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
    await fakes.build_runner(bus, tools, fakes.build_delivery(bus)).run()

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
    await fakes.build_runner(bus, tools, fakes.build_delivery(bus)).run()
    published, asked = len(bus.events), len(transcriber.requests)
    again = fakes.build_delivery(bus, attempts=2)

    ending = await fakes.build_runner(bus, tools, again).run()

    assert isinstance(ending, Settled)
    assert again.answers == ["ack"]
    assert (len(bus.events), len(transcriber.requests)) == (published, asked)


async def test_a_later_attempt_uses_the_stored_transcript_again(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    await fakes.build_runner(bus, tools, fakes.build_delivery(bus)).run()
    asked = len(transcriber.requests)

    ending = await fakes.build_runner(bus, tools, fakes.build_delivery(bus, attempt=2)).run()

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
        fakes.build_runner(
            bus, fakes.build_tools(objects, FakeStream(windows), lost), fakes.build_delivery(bus)
        ).run()
    )
    async with asyncio.timeout(5):
        while bus.types.count("segment") < 2:
            await asyncio.sleep(0.001)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)

    await fakes.build_runner(bus, tools, fakes.build_delivery(bus, attempts=2)).run()

    assert [request.pcm[0] for request in transcriber.requests] == [2]
    assert bus.types.count("segment") == 3
    started = [parse_data(e, Started) for e in bus.events if e.type == "call.started"]
    assert [event.resumed_windows for event in started] == [0, 2]
    assert parse_data(bus.find("call.transcribed"), Transcribed).segments == 3


OTHER_MODEL = ModelInfo(name="base", hash="0ther" * 12, runtime="triton")


async def _lose_after_two_windows(bus: FakeBus, objects: Store, model: ModelInfo) -> None:
    """A worker that dies in mid-call."""
    transcriber = FakeTranscriber(model)
    transcriber.delays_seconds = {2: 60.0}
    tools = fakes.build_tools(
        objects, FakeStream([fakes.build_window(n) for n in range(3)]), transcriber
    )
    begun = bus.types.count("segment")
    run = asyncio.create_task(fakes.build_runner(bus, tools, fakes.build_delivery(bus)).run())
    async with asyncio.timeout(5):
        while bus.types.count("segment") < begun + 2:
            await asyncio.sleep(0.001)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)


async def test_a_run_with_another_model_tells_clients_to_drop_what_was_said(
    bus: FakeBus, objects: Store, tools: Tools
) -> None:
    await _lose_after_two_windows(bus, objects, OTHER_MODEL)

    await fakes.build_runner(bus, tools, fakes.build_delivery(bus, attempts=2)).run()

    assert bus.types == [
        *("started", "segment", "segment"),
        *("progress", "reset"),
        *("started", "segment", "segment", "segment", "transcribed", "analyzed"),
    ]
    assert parse_data(bus.find("call.reset"), Reset).model_hash == fakes.MODEL.hash
    started = [parse_data(e, Started) for e in bus.events if e.type == "call.started"]
    assert [event.resumed_windows for event in started] == [0, 0]


async def test_a_reset_takes_no_progress_back(
    bus: FakeBus, objects: Store, tools: Tools, transcriber: FakeTranscriber
) -> None:
    """The operator's progress does not go back either; clients are told both."""
    await _lose_after_two_windows(bus, objects, OTHER_MODEL)
    transcriber.failures = [RuntimeError("a defect, which makes the run say how far it is")]

    await fakes.build_runner(bus, tools, fakes.build_delivery(bus, attempts=2)).run()

    signs = [parse_data(e, Progress).percent for e in bus.events if e.type == "call.progress"]
    assert "reset" in bus.types
    assert len(signs) == 2
    assert signs[0] == signs[1] > 0


def _refuse(*_: object) -> NoReturn:
    raise Permanent("refused")


async def test_a_failure_while_transcribing_tells_so(
    bus: FakeBus, objects: Store, transcriber: FakeTranscriber
) -> None:
    broken = fakes.build_tools(objects, FakeStream([], failure=Permanent("no")), transcriber)

    await fakes.build_runner(bus, broken, fakes.build_delivery(bus)).run()

    assert parse_data(bus.find("call.failed"), Failed).stage is Stage.TRANSCRIBE


async def test_a_failure_after_the_transcript_is_one_of_insights(
    bus: FakeBus, tools: Tools
) -> None:
    broken = dataclasses.replace(tools, analyze=_refuse)

    await fakes.build_runner(bus, broken, fakes.build_delivery(bus)).run()

    assert parse_data(bus.find("call.failed"), Failed).stage is Stage.INSIGHTS


async def test_a_model_that_comes_back_says_its_windows_again(
    bus: FakeBus, objects: Store, tools: Tools
) -> None:
    """Clients have dropped them meanwhile, and the bus must not take them for repetitions."""
    await _lose_after_two_windows(bus, objects, fakes.MODEL)
    await _lose_after_two_windows(bus, objects, OTHER_MODEL)

    await fakes.build_runner(bus, tools, fakes.build_delivery(bus, attempts=3)).run()

    assert bus.types.count("reset") == 2
    last = len(bus.types) - 1 - bus.types[::-1].index("reset")
    assert bus.types[last:] == [
        *("reset", "started", "segment", "segment", "segment", "transcribed", "analyzed"),
    ]


async def test_the_same_model_resets_nothing(bus: FakeBus, objects: Store, tools: Tools) -> None:
    await _lose_after_two_windows(bus, objects, fakes.MODEL)

    await fakes.build_runner(bus, tools, fakes.build_delivery(bus, attempts=2)).run()

    assert "reset" not in bus.types
    assert bus.types.count("segment") == 3


async def test_an_earlier_event_that_nobody_can_read_costs_its_window_only(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    """Written before a rolling upgrade that added a field to the contract."""
    await fakes.build_runner(bus, tools, fakes.build_delivery(bus)).run()
    windows = [event for event in bus.events if event.type == "call.segment"]
    del windows[1].data["model_hash"]
    bus.events[:] = windows
    transcriber.requests.clear()

    ending = await fakes.build_runner(bus, tools, fakes.build_delivery(bus, attempts=2)).run()

    assert isinstance(ending, Finished)
    assert [request.pcm[0] for request in transcriber.requests] == [1]


async def test_a_cancelled_call_is_not_started(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    bus.notes[fakes.CALL_ID] = ControlAction.CANCEL
    delivery = fakes.build_delivery(bus)

    ending = await fakes.build_runner(bus, tools, delivery).run()

    assert isinstance(ending, Stopped)
    assert bus.log == ["call.cancelled", "ack"]
    assert transcriber.requests == []


async def test_cancelling_stops_a_running_call_at_once(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    transcriber.open.clear()
    runner = fakes.build_runner(bus, tools, fakes.build_delivery(bus))
    run = asyncio.create_task(runner.run())
    async with asyncio.timeout(5):
        while not transcriber.requests:
            await asyncio.sleep(0.001)

    runner.stop(ControlAction.CANCEL)

    assert isinstance(await run, Stopped)
    assert bus.log == ["call.started", "call.cancelled", "ack"]
    assert transcriber.running == 0


@pytest.mark.parametrize("how", ["drain", "pause"])
async def test_a_drained_or_paused_call_is_handed_back(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber, how: str
) -> None:
    transcriber.open.clear()
    delivery = fakes.build_delivery(bus)
    runner = fakes.build_runner(bus, tools, delivery)
    run = asyncio.create_task(runner.run())
    async with asyncio.timeout(5):
        while not transcriber.requests:
            await asyncio.sleep(0.001)

    if how == "drain":
        runner.drain()
    else:
        runner.stop(ControlAction.PAUSE)

    assert isinstance(await run, HandedBack)
    assert bus.log[:2] == ["call.started", "call.retrying"]
    assert parse_data(bus.find("call.retrying"), Retrying).next_attempt == 1
    assert delivery.answers[0].startswith("nak")


async def test_bad_input_is_told_before_the_message_is_taken_away(
    bus: FakeBus, transcriber: FakeTranscriber, objects: Store
) -> None:
    stream = FakeStream([fakes.build_window(0)], failure=UndecodableAudio("it is all corrupt"))
    tools = fakes.build_tools(objects, stream, transcriber)

    ending = await fakes.build_runner(bus, tools, fakes.build_delivery(bus)).run()

    assert isinstance(ending, Rejected)
    assert bus.log[-2:] == ["call.failed", "term"]
    failed = parse_data(bus.find("call.failed"), Failed)
    assert (failed.reason, failed.code) == ("UndecodableAudio", "undecodable_audio")
    assert failed.message == "it is all corrupt"


@pytest.mark.parametrize("stages", [(Stage.INSIGHTS,), (Stage.SPEAKERS, Stage.INSIGHTS)])
async def test_a_job_without_a_transcript_to_work_on_is_refused_and_nothing_transcribed(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber, stages: tuple[Stage, ...]
) -> None:
    delivery = FakeDelivery(fakes.build_dispatch(stages=stages), log=bus.log)

    ending = await fakes.build_runner(bus, tools, delivery).run()

    assert isinstance(ending, Rejected)
    assert bus.log == ["call.failed", "term"]
    assert parse_data(bus.find("call.failed"), Failed).reason == "InvalidInput"
    assert transcriber.requests == []


async def test_a_job_without_insights_has_an_empty_artefact_of_them(
    bus: FakeBus, tools: Tools, objects: Store
) -> None:
    delivery = FakeDelivery(fakes.build_dispatch(stages=(Stage.TRANSCRIBE,)), log=bus.log)

    ending = await fakes.build_runner(bus, tools, delivery).run()

    assert isinstance(ending, Finished)
    analyzed = parse_data(bus.find("call.analyzed"), Analyzed)
    insights = Insights.model_validate_json(await objects.get_bytes(analyzed.insights_key))
    assert insights == Insights(call_id=fakes.CALL_ID, attempt=1)


async def test_a_model_server_that_stays_away_hands_the_message_back(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    transcriber.failures = [AsrUnavailable("UNAVAILABLE")] * 10
    delivery = fakes.build_delivery(bus)

    ending = await fakes.build_runner(bus, tools, delivery).run()

    assert isinstance(ending, HandedBack)
    assert parse_data(bus.find("call.retrying"), Retrying).reason == "WaitingForModel"
    assert delivery.answers == ["nak 5"]


async def test_a_model_that_fails_on_the_call_counts_as_a_lost_run(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    transcriber.failures = [AsrFaulted("INTERNAL")] * 10
    delivery = fakes.build_delivery(bus)

    ending = await fakes.build_runner(bus, tools, delivery).run()

    assert isinstance(ending, Crashed)
    assert delivery.answers == ["nak 5"]
    assert "retrying" not in bus.types


async def test_a_run_that_is_answering_its_message_adopts_no_other(
    bus: FakeBus, tools: Tools
) -> None:
    held, newer = (
        fakes.build_delivery(bus, attempt=1, sequence=1),
        fakes.build_delivery(bus, attempt=2, sequence=2),
    )
    runner = fakes.build_runner(bus, tools, held)
    adopted = []

    async def ack() -> None:
        adopted.append(await runner.adopt(newer))

    held.ack = ack  # type: ignore[method-assign] # just then
    await runner.run()

    assert adopted == [False]
    assert newer.answers == []


async def test_a_later_attempt_that_comes_while_the_call_runs_is_adopted(
    bus: FakeBus, tools: Tools, transcriber: FakeTranscriber
) -> None:
    held = fakes.build_delivery(bus, attempt=1, sequence=1)
    newer = fakes.build_delivery(bus, attempt=2, sequence=2)
    runner = fakes.build_runner(bus, tools, held)
    run = await fakes.start_run(runner, transcriber)

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
    delivery = fakes.build_delivery(bus)

    ending = await fakes.build_runner(bus, tools, delivery).run()

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

    await fakes.build_runner(bus, tools, fakes.build_delivery(bus)).run()

    analyzed = parse_data(bus.find("call.analyzed"), Analyzed)
    transcript = Transcript.model_validate_json(await objects.get_bytes(analyzed.transcript_key))
    assert [segment.channel for segment in transcript.segments] == [0]


@pytest.mark.parametrize(
    ("channels", "words", "roles", "confidence"),
    [
        (ChannelPolicy.AUTO, "thank you for calling", {Role.AGENT, Role.CUSTOMER}, 0.7),
        (ChannelPolicy.AUTO, "good morning", {Role.UNKNOWN}, None),
        (ChannelPolicy.AGENT_LEFT, "good morning", {Role.AGENT, Role.CUSTOMER}, None),
    ],
)
async def test_how_sure_the_guess_of_the_roles_is_can_be_read(
    bus: FakeBus,
    objects: Store,
    channels: ChannelPolicy,
    words: str,
    roles: set[Role],
    confidence: float | None,
) -> None:
    transcriber = FakeTranscriber()
    transcriber.texts = {0: words, 1: "hello there"}
    windows = [fakes.build_window(n, channel=n) for n in range(2)]
    tools = fakes.build_tools(objects, FakeStream(windows, channels=2), transcriber)
    delivery = FakeDelivery(fakes.build_dispatch(channels=channels))

    await fakes.build_runner(bus, tools, delivery).run()

    transcribed = parse_data(bus.find("call.transcribed"), Transcribed)
    data = await objects.get_bytes(transcribed.object_key)
    transcript = Transcript.model_validate_json(data)
    assert {segment.role for segment in transcript.segments} == roles
    assert (transcript.role_confidence, transcribed.role_confidence) == (confidence, confidence)
