"""Real speech through the real decoder and the real voice detection, in every seed format."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from parlance.contracts.calls import ChannelPolicy
from parlance.inference.audio import channels, vad, windows
from parlance.inference.audio.front_end import FrontEnd
from parlance.inference.audio.packer import Window
from parlance.media import decode, sniff
from parlance.media.bytesource import ByteSource, FileSource, MemorySource

from devstack import testdata
from tests.unit.media import corpus


@pytest.fixture(scope="module")
def model() -> vad.VadModel:
    return vad.open_model()


async def listen(
    source: ByteSource, model: vad.VadModel, policy: ChannelPolicy = ChannelPolicy.AUTO
) -> tuple[FrontEnd, list[Window]]:
    container = sniff.sniff(await source.read(0, min(source.size_bytes, sniff.HEAD_BYTES)))
    assert container is not None
    async with decode.open_decoder(source, container) as decoder:
        front_end = FrontEnd(model, policy, decoder.stream.channels)
        stream = windows.iter_windows(decoder, front_end)
        async with contextlib.aclosing(stream):
            return front_end, [window async for window in stream]


def read_pcm(path: Path, rate_hz: int) -> bytes:
    resampler = av.AudioResampler(format="s16", layout="mono", rate=rate_hz)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    return b"".join(bytes(frame.planes[0])[: frame.samples * 2] for frame in frames)


FORMATS: dict[str, Callable[[bytes], bytes]] = {
    "mp3": lambda pcm: corpus.encode("mp3", "libmp3lame", pcm=pcm),
    "m4a": lambda pcm: corpus.encode("ipod", "aac", pcm=pcm),
    "mp4": lambda pcm: corpus.encode("mp4", "aac", pcm=pcm),
    "webm": lambda pcm: corpus.encode("webm", "libopus", pcm=pcm, live="1"),
    "flac": lambda pcm: corpus.encode("flac", "flac", pcm=pcm),
    "ogg": lambda pcm: corpus.encode("ogg", "libopus", pcm=pcm),
    "aiff": lambda pcm: corpus.encode("aiff", "pcm_s16be", pcm=pcm),
}


@pytest.mark.parametrize("name", FORMATS)
async def test_every_format_gives_the_speech_of_the_wav(name: str, model: vad.VadModel) -> None:
    recording = await testdata.fetch_two_cities()
    encoded = FORMATS[name](read_pcm(recording.path, 48_000))

    expected, _ = await listen(FileSource(recording.path), model)
    heard, _ = await listen(MemorySource(encoded), model)

    assert heard.processed_seconds == pytest.approx(recording.duration_seconds, abs=0.1)
    assert _overlap(heard.speech[0].spans, expected.speech[0].spans) > 0.95


def _overlap(one: tuple[tuple[float, float], ...], other: tuple[tuple[float, float], ...]) -> float:
    """Common speech over all speech, on a grid of 10 ms."""
    grid = np.zeros((2, 20_000), bool)
    for row, spans in enumerate((one, other)):
        for start_seconds, end_seconds in spans:
            grid[row, round(start_seconds * 100) : round(end_seconds * 100)] = True
    return float(np.sum(grid[0] & grid[1]) / np.sum(grid[0] | grid[1]))


async def test_the_first_window_is_short_and_the_others_are_full(model: vad.VadModel) -> None:
    recording = await testdata.fetch_two_cities()

    _, heard = await listen(FileSource(recording.path), model)

    assert heard[0].length_seconds < 8.0
    assert heard[0].end_seconds < 8.0
    assert all(window.length_seconds <= 29.0 for window in heard)
    assert len(heard) <= 4


async def test_two_sides_of_a_call_are_heard_apart(model: vad.VadModel) -> None:
    call = await testdata.make_stereo_call()

    front_end, _ = await listen(FileSource(call.path), model)

    assert front_end.plan is not None
    assert front_end.plan.channels == 2
    for turn in call.turns:
        own = _share(front_end, turn.channel, turn.start_seconds, turn.end_seconds)
        other = _share(front_end, 1 - turn.channel, turn.start_seconds, turn.end_seconds)
        assert own > 0.5, turn
        assert other < 0.35, turn  # turns overlap a little


def _share(front_end: FrontEnd, channel: int, start_seconds: float, end_seconds: float) -> float:
    """How much of a stretch of a channel is speech."""
    spans = front_end.speech[channel].spans
    spoken = sum(
        max(0.0, min(end, end_seconds) - max(start, start_seconds)) for start, end in spans
    )
    return spoken / (end_seconds - start_seconds)


async def test_a_voice_on_both_sides_is_heard_once(model: vad.VadModel) -> None:
    recording = await testdata.fetch_two_cities()
    mono = np.frombuffer(read_pcm(recording.path, 44_100), np.int16)
    both = corpus.encode(
        "mp3",
        "libmp3lame",
        rate_hz=44_100,
        layout="stereo",
        pcm=np.repeat(mono, 2).tobytes(),
    )

    front_end, heard = await listen(MemorySource(both), model)

    assert front_end.plan is not None
    assert front_end.plan.reason is channels.Reason.SAME_SOUND
    assert {window.channel for window in heard} == {0}


@pytest.mark.parametrize("block_bytes", [3_200, 100_002])
async def test_real_windows_do_not_depend_on_the_blocks(
    block_bytes: int, model: vad.VadModel
) -> None:
    recording = await testdata.fetch_two_cities()
    pcm = read_pcm(recording.path, 16_000)

    def run(size: int) -> list[object]:
        front_end = FrontEnd(model, ChannelPolicy.AUTO, 1)
        blocks = (pcm[start : start + size] for start in range(0, len(pcm), size))
        heard = [window for block in blocks for window in front_end.feed(block)]
        return [(w.pieces, w.samples.tobytes()) for w in heard + front_end.finish()]

    assert run(block_bytes) == run(1 << 30)


async def test_hold_music_is_mostly_not_taken_for_speech(model: vad.VadModel) -> None:
    spoken = total = 0.0
    for path in await testdata.fetch_hold_music():
        front_end, _ = await listen(FileSource(path), model)
        spoken += sum(end - start for start, end in front_end.speech[0].spans)
        total += front_end.processed_seconds

    assert spoken / total < 0.1
