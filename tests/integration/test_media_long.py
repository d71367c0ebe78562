"""Flat memory and exact time over files as long as they may be."""

import contextlib
import struct

import psutil
import pytest
from parlance.contracts.calls import ChannelPolicy
from parlance.inference.audio import windows
from parlance.inference.audio.front_end import FrontEnd
from parlance.media import decode, probe, spawning
from parlance.media.sniff import Container

from tests.unit.inference.audio import sounds
from tests.unit.media import corpus

MIB = 1 << 20


class RepeatedSource:
    """A head, then the same minute again and again; made where it is read."""

    def __init__(self, head: bytes, minute: bytes, minutes: int) -> None:
        self._head = head
        self._minute = minute
        self.size_bytes = len(head) + len(minute) * minutes

    async def read(self, offset: int, length: int) -> bytes:
        if offset < len(self._head):
            part = self._head[offset : offset + length]
            return part + await self.read(len(self._head), length - len(part)) if part else b""
        start = (offset - len(self._head)) % len(self._minute)
        count = (start + length) // len(self._minute) + 1
        return (self._minute * count)[start : start + length]


def build_minute() -> bytes:
    """16 kHz mono: 40 s of "speech" in turns."""
    call = sounds.build_call(*((t + 0.5, t + 4.5) for t in range(0, 60, 6)), seconds=60.0)
    return sounds.interleave(call)


def build_wav_head(data_bytes: int) -> bytes:
    fmt = struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
    riff = b"RIFF" + struct.pack("<I", 36 + data_bytes) + b"WAVEfmt " + fmt
    return riff + b"data" + struct.pack("<I", data_bytes)


def measure_rss_bytes() -> tuple[int, int]:
    """Of this process, and of the largest decoder below it (other tests' servers may run too)."""
    me = psutil.Process()
    below = [0]
    for child in me.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("parlance.media.child" in word for word in child.cmdline()):
                below.append(child.memory_info().rss)
    return me.memory_info().rss, max(below)


@pytest.mark.timeout(300)
async def test_ten_hours_pass_in_flat_memory() -> None:
    minute = build_minute()
    minutes = 600
    source = RepeatedSource(build_wav_head(len(minute) * minutes), minute, minutes)
    sizes: list[tuple[int, int]] = []
    count = 0

    async with decode.open_decoder(source, Container.WAV) as decoder:
        front_end = FrontEnd(sounds.LoudnessModel(), ChannelPolicy.AUTO, 1)
        async with contextlib.aclosing(windows.iter_windows(decoder, front_end)) as stream:
            async for window in stream:
                count += 1
                assert window.length_seconds <= 29.0
                if count % 50 == 0:
                    sizes.append(measure_rss_bytes())

    assert decoder.summary is not None
    assert decoder.summary.duration_seconds == 36_000.0
    assert count > 800
    early, late = sizes[1], sizes[-1]
    assert late[0] - early[0] < 24 * MIB
    assert late[1] - early[1] < 8 * MIB
    assert late[1] < 80 * MIB


@pytest.mark.timeout(240)
async def test_an_hour_of_mp3_is_counted_exactly() -> None:
    minute = corpus.encode(
        "mp3", "libmp3lame", 60.0, rate_hz=8_000, bit_rate=16_000, id3v2_version="0", write_xing="0"
    )
    source = RepeatedSource(b"", minute, 60)

    async with decode.open_decoder(source, Container.MP3) as decoder:
        async for _ in decoder:
            pass

    assert decoder.summary is not None
    frames_per_minute = (60 * 8_000) // 576 + 2  # and what the encoder adds at both ends
    assert decoder.summary.packets == pytest.approx(60 * frames_per_minute, abs=180)
    assert decoder.summary.duration_seconds == pytest.approx(3_600, rel=0.01)


async def test_half_a_gigabyte_of_wav_is_probed_in_a_moment() -> None:
    minute = build_minute()
    minutes = 524_288_000 // len(minute)
    source = RepeatedSource(build_wav_head(len(minute) * minutes), minute, minutes)

    async with spawning.open_template() as template:
        probed = await probe.probe(source, Container.WAV, spawner=template)

    assert probed.info.duration_seconds == minutes * 60
    assert not probed.warnings
