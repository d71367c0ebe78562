"""What a file says about itself, as far as it can be believed.

FFmpeg answers every question for a duration, if need be with a guess from the bit rate, and clips
a WAV's to the file without a word. Here the guesses are told from the statements.
"""

from typing import Any

from parlance.media.child.reading import Reader
from parlance.media.child.remote import RemoteFile

_UNKNOWN_WAV_BYTES = 0x7FFF_0000
"""Writers to a pipe put 0, 0x7FFFFFFF, 0x80000000 or 0xFFFFFFFF, less some header, as the size."""
_RATE_DEMUXERS = frozenset({"aac", "amr"})
"""Demuxers whose duration is only file size over bit rate."""


class Header:
    """The statements of one file. Ask after the first packet was read."""

    def __init__(
        self, container: Any, stream: Any, reader: Reader, file: RemoteFile, demuxer: str
    ) -> None:
        self._file = file
        self._is_wav = demuxer == "wav"
        self._first_sound_bytes = reader.first_position_bytes or 0
        self.seconds = self._read_seconds(container, stream, demuxer)
        """Duration; None if there is only a guess."""

    @property
    def is_wav_size_unknown(self) -> bool:
        """Whether the writer of a WAV did not know its length. RF64 keeps it elsewhere."""
        is_plain = self._is_wav and self._file.peek(0, 4) == b"RIFF"
        return is_plain and not 0 < self._read_wav_bytes() < _UNKNOWN_WAV_BYTES

    def says_more_than(self, seconds: float) -> bool:
        """Whether the file should be longer than the duration that was found: it was cut."""
        if self._is_wav:
            declared_bytes = self._read_wav_bytes()
            is_known = 0 < declared_bytes < _UNKNOWN_WAV_BYTES
            return is_known and declared_bytes > self._file.size_bytes - self._first_sound_bytes
        if self.seconds is None:
            return False
        return seconds < self.seconds - _tolerance_seconds(self.seconds)

    def _read_seconds(self, container: Any, stream: Any, demuxer: str) -> float | None:
        if demuxer in _RATE_DEMUXERS or (demuxer == "mp3" and not self._has_xing()):
            return None
        if stream.duration is not None and stream.time_base:
            return float(stream.duration * stream.time_base)
        return container.duration / 1e6 if container.duration is not None else None

    def _has_xing(self) -> bool:
        """Whether an MP3 has a frame that counts its frames, just before its first sound."""
        first = self._first_sound_bytes
        before = self._file.peek(max(0, first - 4096), min(first, 4096))
        return any(tag in before for tag in (b"Xing", b"Info", b"VBRI"))

    def _read_wav_bytes(self) -> int:
        """Size of the sound as the WAV header has it: the field right before the first sample."""
        first = self._first_sound_bytes
        return int.from_bytes(self._file.peek(first - 4, 4), "little") if first >= 4 else 0


def agree(header_seconds: float, counted_seconds: float) -> bool:
    """Whether two durations mean the same length."""
    return abs(header_seconds - counted_seconds) <= _tolerance_seconds(header_seconds)


def _tolerance_seconds(header_seconds: float) -> float:
    """Encoder delay, the last packet, and rounding make up to about this."""
    return max(0.5, 0.02 * header_seconds)
