"""Decoding a file to 16 kHz PCM as a stream of blocks. Called by the worker."""

import contextlib
import dataclasses
import math
from collections.abc import AsyncIterator

import pydantic
from parlance.media import host, wire
from parlance.media.answers import Answer, Codec, Count, SampleRate
from parlance.media.bytesource import ByteSource
from parlance.media.errors import AnswerInvalid, AudioTooLong, EmptyFile
from parlance.media.limits import MediaLimits
from parlance.media.sniff import Container
from parlance.media.spawning import Spawner


class StreamInfo(Answer):
    """What the first decoded frame says."""

    codec: Codec
    channels: int = pydantic.Field(ge=1, le=64)
    sample_rate_hz: SampleRate
    """Of the source; the PCM is always 16 kHz."""
    header_seconds: float | None = pydantic.Field(default=None, ge=0)
    """Duration that the header claims, for showing progress; None where it has none."""


class DecodeSummary(Answer):
    """What the whole file was, known after the last block."""

    frames: Count
    packets: Count
    corrupt_packets: Count
    truncated: bool

    @property
    def duration_seconds(self) -> float:
        """Exact: counted in decoded samples."""
        return self.frames / wire.SAMPLE_RATE_HZ


@dataclasses.dataclass(frozen=True, slots=True)
class PcmBlock:
    """int16 little endian, 16 kHz, channels interleaved; one second, the last one shorter."""

    data: bytes
    channels: int


class Decoder:
    """An open decode: iterate once over the blocks, then read `summary`."""

    def __init__(
        self,
        child: host.Child,
        stream: StreamInfo,
        limits: MediaLimits,
        stall_timeout_seconds: float,
    ) -> None:
        self._child = child
        self._limits = limits
        self._stall_timeout_seconds = stall_timeout_seconds
        self.stream = stream
        self.summary: DecodeSummary | None = None

    async def __aiter__(self) -> AsyncIterator[PcmBlock]:
        """Raises `MediaError` at the place where the file stops being usable.

        The child keeps the limits itself; they are kept here once more, as a file that has taken
        it over would not.
        """
        frame_bytes = wire.BYTES_PER_SAMPLE * self.stream.channels
        max_frames = math.ceil(self._limits.max_seconds + 1) * wire.SAMPLE_RATE_HZ
        frames = 0
        while self.summary is None:
            frame = await self._child.receive(self._stall_timeout_seconds)
            if frame.kind == wire.PCM:
                if not frame.payload or len(frame.payload) % frame_bytes:
                    raise AnswerInvalid
                frames += len(frame.payload) // frame_bytes
                if frames > max_frames:
                    raise AudioTooLong
                yield PcmBlock(frame.payload, self.stream.channels)
            else:
                summary = frame.parse(DecodeSummary)
                if summary.frames != frames:
                    raise AnswerInvalid
                self.summary = summary


@contextlib.asynccontextmanager
async def open_decoder(
    source: ByteSource,
    container: Container,
    limits: MediaLimits | None = None,
    stall_timeout_seconds: float = 60.0,
    spawner: Spawner | None = None,
) -> AsyncIterator[Decoder]:
    """Start decoding; leaving the block kills the child, however far it is.

    There is no limit on the whole time (the consumer sets the pace), but one on each wait for the
    next block, and the child's CPU seconds are limited.
    """
    if source.size_bytes == 0:
        raise EmptyFile
    limits = limits or MediaLimits()
    async with host.open_child("decode", source, container, limits, spawner) as child:
        stream = (await child.receive(stall_timeout_seconds)).parse(StreamInfo)
        if stream.channels > limits.max_channels:
            raise AnswerInvalid
        yield Decoder(child, stream, limits, stall_timeout_seconds)
