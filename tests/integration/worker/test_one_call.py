"""One call through a real worker: NATS, store, decoder, Triton and back, with real speech."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from parlance.contracts.bus.calls import Analyzed, EventType, Failed, Started
from parlance.contracts.bus.envelopes import parse_data
from parlance.contracts.calls import ChannelPolicy, Role
from parlance.contracts.ids import new_call_id

from devstack import audio_files, nats_server, testdata, triton, wer
from tests.integration.worker import rig as rigs
from tests.integration.worker.rig import Rig

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(
    triton_server: triton.TritonServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Rig]:
    """One worker does all calls here: no test stops anything."""
    folder = tmp_path_factory.mktemp("one-call")
    async with (
        nats_server.open_nats(folder / "nats") as nats,
        rigs.open_rig(nats, triton_server, folder) as opened,
        opened.worker("a"),
    ):
        yield opened


async def test_a_call_is_heard_rightly_and_its_words_come_in_windows(rig: Rig) -> None:
    reading = await testdata.fetch_two_cities()
    call_id = await rig.submit(reading.path)
    await rig.wait_for(call_id, EventType.ANALYZED)

    transcript = await rig.read_transcript(call_id)
    windows = rig.events.windows_of(call_id)
    types = [event.type for event in rig.events.of(call_id)]
    assert wer.word_error_rate(reading.text, transcript.text) <= 0.12
    assert [window.window for window in windows] == list(range(len(windows)))
    assert len(windows) >= 2
    assert types.index(EventType.SEGMENT) + len(windows) <= types.index(EventType.TRANSCRIBED)
    starts = [segment.start_seconds for segment in transcript.segments]
    assert starts == sorted(starts)
    assert abs(transcript.media.duration_seconds - reading.duration_seconds) < 0.05


async def test_the_artefacts_are_complete(rig: Rig) -> None:
    reading = await testdata.fetch_two_cities()
    call_id = await rig.submit(reading.path)
    await rig.wait_for(call_id, EventType.ANALYZED)

    transcript = await rig.read_transcript(call_id)
    insights = await rig.read_insights(call_id)
    analyzed = parse_data(rig.events.of(call_id, EventType.ANALYZED)[0], Analyzed)
    published = [s for window in rig.events.windows_of(call_id) for s in window.segments]
    assert [s.text for s in transcript.segments] == [s.text for s in published]
    assert transcript.model.name
    assert len(transcript.model.hash) >= 8
    assert transcript.speech[0].spans
    assert insights.metrics is not None
    assert insights.summary is not None
    assert analyzed.segments == len(transcript.segments)
    assert analyzed.timings["total"] > analyzed.timings["first_segment"] > 0


@pytest.mark.parametrize(
    "media_format",
    [
        audio_files.MediaFormat.MP3,
        audio_files.MediaFormat.M4A,
        audio_files.MediaFormat.MP4,
        audio_files.MediaFormat.WEBM,
    ],
)
async def test_every_format_of_the_contract_is_transcribed(
    rig: Rig, media_format: audio_files.MediaFormat
) -> None:
    reading = await testdata.fetch_two_cities()
    variant = await testdata.make_variant(reading.path, media_format)
    call_id = await rig.submit(variant)
    await rig.wait_for(call_id, EventType.ANALYZED)

    transcript = await rig.read_transcript(call_id)
    assert wer.word_error_rate(reading.text, transcript.text) <= 0.12


async def test_two_channels_are_two_speakers_with_the_roles_of_the_job(rig: Rig) -> None:
    call = await testdata.make_stereo_call()
    call_id = await rig.submit(call.path, channels=ChannelPolicy.AGENT_LEFT)
    await rig.wait_for(call_id, EventType.ANALYZED)

    transcript = await rig.read_transcript(call_id)
    roles = {(s.channel, s.speaker, s.role) for s in transcript.segments}
    assert roles == {(0, "speaker_0", Role.AGENT), (1, "speaker_1", Role.CUSTOMER)}
    for channel in (0, 1):
        heard = " ".join(s.text for s in transcript.segments if s.channel == channel)
        assert wer.word_error_rate(call.format_text(channel), heard) <= 0.15


async def test_what_is_not_audio_fails_with_its_reason(rig: Rig) -> None:
    call_id = await rig.submit(b"%PDF-1.7 " + bytes(4096))
    await rig.wait_for(call_id, EventType.FAILED)

    failed = parse_data(rig.events.of(call_id, EventType.FAILED)[0], Failed)
    assert (failed.reason, failed.code) == ("UndecodableAudio", "unsupported_media")
    assert not failed.retryable


async def test_a_missing_object_fails_with_its_reason(rig: Rig) -> None:
    call_id = new_call_id()
    await rig.dispatch(call_id, f"acme/calls/{call_id}/audio.wav")
    await rig.wait_for(call_id, EventType.FAILED)

    failed = parse_data(rig.events.of(call_id, EventType.FAILED)[0], Failed)
    assert (failed.reason, failed.code) == ("InputNotFound", "input_not_found")


async def test_an_object_that_was_replaced_fails_with_its_reason(rig: Rig) -> None:
    reading = await testdata.fetch_beckett()
    call_id = new_call_id()
    key = f"acme/calls/{call_id}/audio.wav"
    await rig.store.put_bytes(key, reading.path.read_bytes())
    await rig.dispatch(call_id, key, sha256="0" * 64)
    await rig.wait_for(call_id, EventType.FAILED)

    failed = parse_data(rig.events.of(call_id, EventType.FAILED)[0], Failed)
    assert failed.reason == "InvalidInput"
    assert rig.events.of(call_id, EventType.TRANSCRIBED) == []


async def test_the_started_event_tells_who_works_on_what(rig: Rig) -> None:
    reading = await testdata.fetch_beckett()
    call_id = await rig.submit(reading.path)
    await rig.wait_for(call_id, EventType.ANALYZED)

    started = parse_data(rig.events.of(call_id, EventType.STARTED)[0], Started)
    assert (started.worker, started.container, started.channels) == ("a", "wav", 1)
    assert abs(started.duration_seconds - reading.duration_seconds) < 0.1
    assert started.object_key
