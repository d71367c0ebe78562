"""Packets of one stream, to frames, over whatever is broken in between.

A corrupt packet is counted and skipped; a demuxer that fails ends the stream as a cut does.
"""

from collections.abc import Iterator
from typing import Any

import av.error

_MAX_STUMBLES = 16
"""Errors of the demuxer in a row, without a packet between them, that end the stream."""


class Reader:
    """One pass over a stream. The counters are valid at any time."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._container = container
        self._stream = stream
        self._time_base = float(stream.time_base) if stream.time_base else 0.0
        self._context = stream.codec_context
        self.packets = 0
        self.corrupt_packets = 0
        self.is_cut = False
        """The demuxer stumbled: the file is cut, or scratched between two packets."""
        self.first_position_bytes: int | None = None
        self.position_bytes = 0
        self.first_seconds: float | None = None
        self.end_seconds = 0.0

    def read_packets(self) -> Iterator[Any]:
        """Packets in file order, then one empty packet that flushes the decoder."""
        stumbles = 0
        while stumbles < _MAX_STUMBLES:
            try:
                for packet in self._container.demux(self._stream):
                    if packet.size:
                        stumbles = 0
                        self._count(packet)
                    yield packet
            except (av.error.FFmpegError, EOFError):
                self.is_cut = True
                stumbles += 1  # what comes behind a scratch may be whole again
            else:
                return

    def decode(self, packet: Any) -> list[Any]:
        """Frames of one packet; none if it is corrupt."""
        try:
            return packet.decode()  # type: ignore[no-any-return]  # PyAV is untyped here
        except EOFError:
            return []
        except av.error.FFmpegError:
            self.corrupt_packets += 1
            return []

    def flush(self) -> list[Any]:
        """The frames that the decoder still holds after a cut."""
        try:
            return self._context.decode(None)  # type: ignore[no-any-return]
        except (av.error.FFmpegError, EOFError):
            return []

    @property
    def span_seconds(self) -> float:
        """From the first packet's start to the last one's end, by their time stamps."""
        return max(0.0, self.end_seconds - max(0.0, self.first_seconds or 0.0))

    @property
    def corrupt_ratio(self) -> float:
        return self.corrupt_packets / self.packets if self.packets else 0.0

    def _count(self, packet: Any) -> None:
        self.packets += 1
        if packet.pos is not None and packet.pos >= 0:
            self.position_bytes = packet.pos + packet.size
            if self.first_position_bytes is None:
                self.first_position_bytes = packet.pos
        duration_seconds = (packet.duration or 0) * self._time_base
        # Packets without a time follow each other.
        start = self.end_seconds if packet.pts is None else packet.pts * self._time_base
        if self.first_seconds is None:
            self.first_seconds = start
        self.end_seconds = max(self.end_seconds, start + duration_seconds)
