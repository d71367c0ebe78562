"""Decoding: exact lengths, channels kept apart, broken files, gaps that are kept."""

from __future__ import annotations

import array
import contextlib
import itertools
import math
from collections.abc import Awaitable
from pathlib import Path
from typing import Protocol

import pytest
from parlance.media import decode
from parlance.media.bytesource import FileSource, MemorySource
from parlance.media.decode import DecodeSummary
from parlance.media.errors import (
    AudioTooLong,
    EmptyFile,
    MediaError,
    UndecodableAudio,
)
from parlance.media.limits import MediaLimits
from parlance.media.sniff import HEAD_BYTES, Container, sniff
from parlance.media.spawning import Template

from tests.unit.media import corpus


class DecodeBytes(Protocol):
    def __call__(
        self, data: bytes, limits: MediaLimits | None = None
    ) -> Awaitable[tuple[bytes, int, DecodeSummary]]: ...


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def decode_bytes(template: Template) -> DecodeBytes:
    """Gives PCM, channels, summary."""

    async def decode_bytes(
        data: bytes, limits: MediaLimits | None = None
    ) -> tuple[bytes, int, DecodeSummary]:
        container = sniff(data[:HEAD_BYTES])
        assert container is not None
        source = MemorySource(data)
        async with decode.open_decoder(source, container, limits, spawner=template) as decoder:
            pcm = b"".join([block.data async for block in decoder])
            assert decoder.summary is not None
            return pcm, decoder.stream.channels, decoder.summary

    return decode_bytes


def get_channel(pcm: bytes, channels: int, channel: int) -> array.array[int]:
    return array.array("h", pcm)[channel::channels]


def measure_hz(samples: array.array[int]) -> float:
    """Frequency of a tone, by its zero crossings."""
    crossings = sum(a < 0 <= b for a, b in itertools.pairwise(samples))
    return crossings * 16_000 / len(samples)


@pytest.mark.parametrize("name", corpus.GOOD)
async def test_every_format_decodes_to_16_khz(decode_bytes: DecodeBytes, name: str) -> None:
    pcm, channels, summary = await decode_bytes(corpus.build_good(name))

    expected_seconds = 2.0 if "8 channels" in name or "video" in name else 3.0
    assert summary.duration_seconds == pytest.approx(expected_seconds, abs=0.07)
    assert len(pcm) == summary.frames * channels * 2
    assert not summary.truncated
    assert summary.corrupt_packets == 0


@pytest.mark.parametrize("name", corpus.BAD)
async def test_a_bad_file_ends_with_its_code(decode_bytes: DecodeBytes, name: str) -> None:
    _, code = corpus.BAD[name]

    with pytest.raises(MediaError) as caught:
        await decode_bytes(corpus.build_bad(name), MediaLimits(max_seconds=1800))

    assert caught.value.problem.code == code


async def test_an_empty_file_is_refused() -> None:
    with pytest.raises(EmptyFile):
        async with decode.open_decoder(MemorySource(b""), Container.WAV):
            pass


@pytest.mark.parametrize("channels", [2, 3, 6, 8])
async def test_channels_are_never_mixed(decode_bytes: DecodeBytes, channels: int) -> None:
    pcm, decoded_channels, _ = await decode_bytes(corpus.build_wav(1.0, 8_000, channels))

    assert decoded_channels == channels
    for channel in range(channels):
        tone_hz = measure_hz(get_channel(pcm, channels, channel))
        assert tone_hz == pytest.approx(300 * (channel + 1), rel=0.03)


async def test_16_khz_wav_comes_out_bit_for_bit(decode_bytes: DecodeBytes) -> None:
    sound = corpus.build_pcm(2.5, channels=2)

    pcm, _, _ = await decode_bytes(corpus.wrap_wav(sound, channels=2))

    assert pcm == sound


async def test_blocks_are_one_second_but_for_the_last() -> None:
    async with decode.open_decoder(MemorySource(corpus.build_wav(2.5)), Container.WAV) as decoder:
        lengths = [len(block.data) async for block in decoder]

    assert lengths == [32_000, 32_000, 16_000]


async def test_the_codec_and_rate_of_the_source_are_known_before_the_first_block() -> None:
    source = MemorySource(corpus.encode("ipod", "aac", layout="stereo"))

    async with decode.open_decoder(source, Container.M4A) as decoder:
        stream = decoder.stream

    assert (stream.codec, stream.channels, stream.sample_rate_hz) == ("aac", 2, 48_000)


async def test_a_scratch_in_the_middle_costs_only_what_it_hit(decode_bytes: DecodeBytes) -> None:
    data = bytearray(corpus.encode("flac", "flac", 10.0))
    middle = len(data) // 2
    data[middle : middle + 15_000] = corpus.build_noise(15_000)

    _, _, summary = await decode_bytes(bytes(data))

    assert 7.5 < summary.duration_seconds < 9.5
    assert summary.truncated


async def test_a_cut_file_gives_what_is_there(decode_bytes: DecodeBytes) -> None:
    data = corpus.encode("ipod", "aac", 10.0, movflags="faststart")

    _, _, summary = await decode_bytes(data[: len(data) // 2])

    assert summary.truncated
    assert 3.5 < summary.duration_seconds < 6.0


async def test_a_gap_in_the_time_stamps_becomes_silence(decode_bytes: DecodeBytes) -> None:
    data = corpus.build_webm_with_gap(before_seconds=1.0, gap_seconds=4.0, after_seconds=1.0)

    pcm, _, summary = await decode_bytes(data)

    assert summary.duration_seconds == pytest.approx(6.0, abs=0.1)
    samples = array.array("h", pcm)
    assert max(map(abs, samples[2 * 16_000 : 4 * 16_000])) == 0
    assert max(map(abs, samples[16_000 * 5 + 4_000 :])) > 4_000


async def test_decoding_stops_at_the_longest_allowed_length(decode_bytes: DecodeBytes) -> None:
    with pytest.raises(AudioTooLong):
        await decode_bytes(corpus.build_wav(5), MediaLimits(max_seconds=3.0))


async def test_a_file_that_is_mostly_noise_is_given_up(decode_bytes: DecodeBytes) -> None:
    data = corpus.encode("matroska", "flac", 60.0, rate_hz=16_000)
    broken = bytearray(data)
    for position in range(2_000, len(data) - 100, 400):
        broken[position : position + 4] = b"\x55\xaa\x55\xaa"

    with contextlib.suppress(UndecodableAudio):
        _, _, summary = await decode_bytes(bytes(broken), MediaLimits(max_corrupt_ratio=0.9))
        assert summary.truncated
    with pytest.raises(UndecodableAudio):
        await decode_bytes(bytes(broken), MediaLimits(max_corrupt_ratio=0.01))


async def test_a_local_file_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(corpus.build_wav(1.0))

    async with decode.open_decoder(FileSource(path), Container.WAV) as decoder:
        blocks = [block async for block in decoder]

    assert math.isclose(sum(len(b.data) for b in blocks), 32_000)
