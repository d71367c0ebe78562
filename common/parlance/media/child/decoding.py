"""Job `decode`: every sample of the stream as int16 at 16 kHz, all channels kept apart.

Memory is constant: one second of PCM and what FFmpeg holds. Gaps in the time stamps (a browser
that sends nothing while nobody speaks) become silence, so that sample number is call time.
"""

import functools
import io
import struct
from collections.abc import Iterator
from typing import Any

import av
import av.error
import av.filter
from parlance.media import wire
from parlance.media.child import headers, opening, reading
from parlance.media.child.channel import Channel
from parlance.media.child.refusal import Refusal
from parlance.media.child.remote import RemoteFile

_GAP_DEMUXERS = frozenset({"mov", "matroska"})
"""Containers with real time stamps; elsewhere they are counted from the bytes, and after a
scratch they lie."""
_MIN_GAP_SECONDS = 0.1
_MIN_PACKETS_FOR_RATIO = 500
_CHECKED_SECONDS = 1.0


@functools.cache
def warm_up() -> None:
    """Once: decode and resample two samples: PyAV imports some of its modules on first use, and the
    sandbox will let no file be opened."""
    header = struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    data = b"RIFF\x28\0\0\0WAVEfmt " + header + b"data\x04\0\0\0\0\0\0\0"
    with av.open(io.BytesIO(data), mode="r", format="wav") as container:
        for frame in container.decode(audio=0):
            _Resampler(frame, frame.layout.name, wire.BYTES_PER_SAMPLE).push(frame)


def run(channel: Channel, file: RemoteFile, job: dict[str, Any]) -> None:
    container = opening.open_media(file, job["demuxer"])
    stream = opening.choose_stream(container, job["limits"])
    reader = reading.Reader(container, stream)
    output = _Output(channel, stream, job)
    for frame in _read_frames(reader, job["limits"]):
        output.write(frame)
    output.finish()
    header = headers.Header(container, stream, reader, file, job["demuxer"])
    is_cut = reader.is_cut or reader.corrupt_packets > 0 or header.says_more_than(output.seconds)
    _check_total(output.seconds, is_cut, job["limits"])
    channel.send_message(
        {
            "kind": "end",
            "frames": output.sent_frames,
            "packets": reader.packets,
            "corrupt_packets": reader.corrupt_packets,
            "truncated": is_cut,
        }
    )


def _read_frames(reader: reading.Reader, limits: dict[str, Any]) -> Iterator[Any]:
    for packet in reader.read_packets():
        yield from reader.decode(packet)
        is_many = reader.packets >= _MIN_PACKETS_FOR_RATIO
        if is_many and reader.corrupt_ratio > limits["max_corrupt_ratio"]:
            raise Refusal("undecodable_audio", f"{reader.corrupt_ratio:.0%} of it is corrupt")
    if reader.is_cut:
        yield from reader.flush()


def _check_total(seconds: float, is_cut: bool, limits: dict[str, Any]) -> None:
    if seconds < _CHECKED_SECONDS and is_cut:
        raise Refusal("undecodable_audio", f"only {seconds:.3f} s of it decode")
    if seconds < limits["min_seconds"]:
        raise Refusal("audio_too_short", f"{seconds:.3f} s; at least {limits['min_seconds']} s")


class _Output:
    """Resamples frames and sends PCM in whole blocks. The first frame decides the channels."""

    def __init__(self, channel: Channel, stream: Any, job: dict[str, Any]) -> None:
        self._channel = channel
        self._stream = stream
        self._job = job
        self._fills_gaps = job["demuxer"] in _GAP_DEMUXERS
        self._resampler: _Resampler | None = None
        self._layout = ""
        self._frame_bytes = 0
        self._pcm = bytearray()
        self._first_seconds: float | None = None
        self._in_seconds = 0.0
        self.sent_frames = 0

    @property
    def seconds(self) -> float:
        return self.sent_frames / wire.SAMPLE_RATE_HZ

    def write(self, frame: Any) -> None:
        if self._resampler is None or not self._resampler.fits(frame):
            self._change(frame)
        assert self._resampler is not None
        if self._fills_gaps:
            self._fill_gap(frame)
        self._in_seconds += frame.samples / frame.sample_rate
        self._append(self._resampler.push(frame))

    def finish(self) -> None:
        if self._resampler is not None:
            self._append(self._resampler.flush())
        if self._pcm:
            self._send(len(self._pcm))

    def _change(self, frame: Any) -> None:
        """Set up for the format of this frame; it may change in mid-stream, the channels stay."""
        opening.check_shape(frame.layout.nb_channels, frame.sample_rate, self._job["limits"])
        if self._resampler is None:
            self._layout = frame.layout.name
            self._frame_bytes = wire.BYTES_PER_SAMPLE * frame.layout.nb_channels
            self._announce(frame)
        else:
            self._append(self._resampler.flush())
        self._resampler = _Resampler(frame, self._layout, self._frame_bytes)

    def _announce(self, frame: Any) -> None:
        self._channel.send_message(
            {
                "kind": "stream",
                "codec": opening.codec_name(self._stream),
                "channels": frame.layout.nb_channels,
                "sample_rate_hz": frame.sample_rate,
                "header_seconds": self._read_header_seconds(),
            }
        )

    def _read_header_seconds(self) -> float | None:
        """What the header claims: good enough to show progress, never for a result."""
        duration, time_base = self._stream.duration, self._stream.time_base
        if duration is not None and time_base:
            return max(0.0, float(duration * time_base))
        duration = self._stream.container.duration  # in microseconds
        return max(0.0, duration / 1_000_000) if duration else None

    def _fill_gap(self, frame: Any) -> None:
        if frame.pts is None or not frame.time_base:
            return
        start = float(frame.pts * frame.time_base)
        if self._first_seconds is None:
            self._first_seconds = start
        gap_seconds = start - self._first_seconds - self._in_seconds
        if gap_seconds < _MIN_GAP_SECONDS:
            return
        assert self._resampler is not None
        self._append(self._resampler.flush())
        self._resampler = _Resampler(frame, self._layout, self._frame_bytes)
        self._check_length(gap_seconds)
        self._in_seconds += gap_seconds
        for count in _split(round(gap_seconds * wire.SAMPLE_RATE_HZ), wire.BLOCK_FRAMES):
            self._append(bytes(count * self._frame_bytes))

    def _append(self, pcm: bytes) -> None:
        self._pcm += pcm
        block_bytes = wire.BLOCK_FRAMES * self._frame_bytes
        while len(self._pcm) >= block_bytes:
            self._send(block_bytes)

    def _send(self, length: int) -> None:
        with memoryview(self._pcm) as view:
            self._channel.send(wire.PCM, view[:length])
        del self._pcm[:length]
        self.sent_frames += length // self._frame_bytes
        self._check_length(0)

    def _check_length(self, more_seconds: float) -> None:
        limit_seconds = self._job["limits"]["max_seconds"]
        if self.seconds + more_seconds > limit_seconds:
            raise Refusal("audio_too_long", f"more than {limit_seconds / 3600:g} h decode")


def _split(total: int, size: int) -> Iterator[int]:
    while total > 0:
        yield min(size, total)
        total -= size


class _Resampler:
    """libswresample for one input format. The layout stays, so channels are never mixed."""

    def __init__(self, frame: Any, layout: str, frame_bytes: int) -> None:
        self._key = _format_key(frame)
        self._waiting_seconds = 0.0
        graph = av.filter.Graph()
        graph.threads = 1  # before the first filter: the sandbox lets no threads be made
        source = graph.add(
            "abuffer",
            sample_rate=str(frame.sample_rate),
            sample_fmt=frame.format.name,
            channel_layout=frame.layout.name,
            time_base=f"1/{frame.sample_rate}",
        )
        shape = graph.add(
            "aformat",
            sample_rates=str(wire.SAMPLE_RATE_HZ),
            sample_fmts="s16",
            channel_layouts=layout,
        )
        graph.link_nodes(source, shape, graph.add("abuffersink")).configure()
        self._graph = graph
        self._frame_bytes = frame_bytes

    def fits(self, frame: Any) -> bool:
        return _format_key(frame) == self._key

    def push(self, frame: Any) -> bytes:
        frame.pts = None  # call time is counted in samples
        self._graph.push(frame)
        self._waiting_seconds += frame.samples / frame.sample_rate
        # Pulling ends with an exception each time; once in half a second is cheap.
        return self._pull() if self._waiting_seconds >= 0.5 else b""

    def flush(self) -> bytes:
        self._graph.push(None)
        return self._pull()

    def _pull(self) -> bytes:
        self._waiting_seconds = 0.0
        parts: list[memoryview] = []
        while True:
            try:
                frame: Any = self._graph.pull()
            except (EOFError, av.error.BlockingIOError):
                return b"".join(parts)
            parts.append(memoryview(frame.planes[0])[: frame.samples * self._frame_bytes])


def _format_key(frame: Any) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
