"""Probing: every accepted format, every refusal with its code, in bounded time."""

import asyncio
import time
from collections.abc import Awaitable
from typing import Protocol

import pytest
from parlance.contracts.problems import WarningCode
from parlance.media import probe
from parlance.media.bytesource import MemorySource
from parlance.media.errors import EmptyFile, MediaError
from parlance.media.limits import MediaLimits
from parlance.media.sniff import HEAD_BYTES, Container, sniff
from parlance.media.spawning import Template

from tests.unit.media import corpus


class ProbeBytes(Protocol):
    def __call__(
        self, data: bytes, limits: MediaLimits | None = None
    ) -> Awaitable[probe.ProbedMedia]: ...


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def probe_bytes(template: Template) -> ProbeBytes:
    async def probe_bytes(data: bytes, limits: MediaLimits | None = None) -> probe.ProbedMedia:
        container = sniff(data[:HEAD_BYTES])
        assert container is not None
        return await probe.probe(MemorySource(data), container, limits, spawner=template)

    return probe_bytes


@pytest.mark.parametrize("name", corpus.GOOD)
async def test_a_good_file_is_described(name: str, probe_bytes: ProbeBytes) -> None:
    probed = await probe_bytes(corpus.build_good(name))

    expected_seconds = 2.0 if "8 channels" in name or "video" in name else 3.0
    assert probed.info.duration_seconds == pytest.approx(expected_seconds, abs=0.07)
    assert probed.info.channels == (8 if "8 ch" in name else 2 if _is_stereo(name) else 1)
    assert probed.decoded_seconds_checked >= 1.0
    assert not probed.info.truncated


def _is_stereo(name: str) -> bool:
    return "stereo" in name or "video" in name


@pytest.mark.parametrize("name", corpus.BAD)
async def test_a_bad_file_is_refused_with_its_code(name: str, probe_bytes: ProbeBytes) -> None:
    _, code = corpus.BAD[name]
    started = time.monotonic()

    with pytest.raises(MediaError) as caught:
        await probe_bytes(corpus.build_bad(name))

    assert caught.value.problem.code == code
    assert not caught.value.retryable
    assert time.monotonic() - started < 15


async def test_an_empty_file_is_refused() -> None:
    with pytest.raises(EmptyFile):
        await probe.probe(MemorySource(b""), Container.WAV)


@pytest.mark.parametrize("declared_bytes", [0, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF - 36])
async def test_a_wav_that_does_not_know_its_length_is_measured(
    declared_bytes: int, probe_bytes: ProbeBytes
) -> None:
    probed = await probe_bytes(corpus.set_wav_size(corpus.build_wav(3), declared_bytes))

    assert probed.info.duration_seconds == pytest.approx(3.0, abs=0.01)
    assert probed.warnings == (WarningCode.DURATION_ESTIMATED,)


async def test_a_wav_that_ends_early_is_truncated(probe_bytes: ProbeBytes) -> None:
    probed = await probe_bytes(corpus.build_wav(5)[: 44 + 2 * 16_000 * 2])

    assert probed.info.duration_seconds == pytest.approx(2.0, abs=0.01)
    assert probed.warnings == (WarningCode.TRUNCATED_AUDIO,)


async def test_a_webm_from_a_browser_is_measured_by_its_packets(probe_bytes: ProbeBytes) -> None:
    probed = await probe_bytes(corpus.encode("webm", "libopus", 20.0, live="1"))

    assert probed.duration_source == "packets"
    assert probed.info.duration_seconds == pytest.approx(20.0, abs=0.05)
    assert WarningCode.DURATION_ESTIMATED in probed.warnings


async def test_an_mp3_without_a_frame_count_is_measured_by_its_packets(
    probe_bytes: ProbeBytes,
) -> None:
    # Silence, then tones: at a variable bit rate the first seconds say nothing about the rest.
    pcm = bytes(2 * 44_100 * 10) + corpus.build_pcm(5.0, 44_100)
    data = corpus.encode("mp3", "libmp3lame", rate_hz=44_100, pcm=pcm, write_xing="0")

    probed = await probe_bytes(data)

    assert probed.duration_source == "packets"
    assert probed.info.duration_seconds == pytest.approx(15.0, abs=0.1)


async def test_a_long_count_is_stopped_and_extrapolated(probe_bytes: ProbeBytes) -> None:
    data = corpus.encode("mp3", "libmp3lame", 120.0, rate_hz=8_000, write_xing="0")

    probed = await probe_bytes(data, MediaLimits(walk_seconds=0.0))

    assert probed.info.duration_seconds == pytest.approx(120.0, rel=0.1)
    assert WarningCode.DURATION_ESTIMATED in probed.warnings


async def test_the_header_of_a_large_file_is_believed_if_it_is_plausible(
    probe_bytes: ProbeBytes,
) -> None:
    data = corpus.encode("flac", "flac", 20.0)

    probed = await probe_bytes(data, MediaLimits(walk_bytes=0))

    assert probed.duration_source == "header"
    assert probed.info.duration_seconds == pytest.approx(20.0, abs=0.01)


async def test_an_m4a_cut_behind_its_index_is_truncated(probe_bytes: ProbeBytes) -> None:
    data = corpus.encode("ipod", "aac", 10.0, movflags="faststart")

    probed = await probe_bytes(data[: len(data) * 2 // 3])

    assert probed.info.truncated
    assert 4.0 < probed.info.duration_seconds < 8.0


async def test_half_a_flac_is_truncated(probe_bytes: ProbeBytes) -> None:
    data = corpus.encode("flac", "flac", 10.0)

    probed = await probe_bytes(data[: len(data) // 2])

    assert WarningCode.TRUNCATED_AUDIO in probed.warnings
    assert probed.info.duration_seconds == pytest.approx(5.0, abs=0.5)


async def test_the_file_may_be_a_little_under_the_limit_of_length(probe_bytes: ProbeBytes) -> None:
    data = corpus.build_wav(3)

    await probe_bytes(data, MediaLimits(max_seconds=3.1))
    with pytest.raises(MediaError) as caught:
        await probe_bytes(data, MediaLimits(max_seconds=2.9))

    assert caught.value.problem.code == "audio_too_long"


class HugeWav:
    """A WAV of 500 MB that is only made where it is read."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self.bytes_read = 0
        head = corpus.set_wav_size(corpus.build_wav(0), size_bytes - 44)
        self._head = head + corpus.build_pcm(1.0)

    async def read(self, offset: int, length: int) -> bytes:
        self.bytes_read += length
        return self._head[offset : offset + length].ljust(length, b"\0")


async def test_a_wav_of_500_mb_costs_a_few_reads() -> None:
    source = HugeWav(500 << 20)

    probed = await probe.probe(source, Container.WAV)

    assert probed.info.duration_seconds == pytest.approx((500 << 20) / 32_000, abs=0.1)
    assert not probed.warnings
    assert source.bytes_read <= 4 << 20


async def test_many_probes_run_side_by_side(probe_bytes: ProbeBytes) -> None:
    data = corpus.encode("ipod", "aac")

    probed = await asyncio.gather(*(probe_bytes(data) for _ in range(6)))

    assert {p.info.duration_seconds for p in probed} == {probed[0].info.duration_seconds}
