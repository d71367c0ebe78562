"""Job `probe`: what the file is, that it decodes, and how long it lasts. In bounded time.

Duration is trusted in this order: decoded samples (short files are decoded whole), counted packets
(files up to `walk_bytes`, and all whose header cannot be believed), the header. A count that would
take too long is stopped and extrapolated. Only the worker, which decodes everything, is exact.
"""

import time
from typing import Any

from parlance.media.child import opening, reading
from parlance.media.child.refusal import Refusal
from parlance.media.child.remote import RemoteFile

_CHECKED_SECONDS = 1.0
"""So much must decode; after that the file is taken to be audio."""
_MAX_CHECKED_PACKETS = 2_000
_CLOCK_EVERY_PACKETS = 1_024
_UNKNOWN_WAV_BYTES = 0x7FFF_0000
"""Writers to a pipe put 0, 0x7FFFFFFF, 0x80000000 or 0xFFFFFFFF, less some header, as the size."""
_RATE_DEMUXERS = frozenset({"aac", "amr"})
"""Demuxers whose duration is only file size over bit rate."""


def run(channel: Any, file: RemoteFile, job: dict[str, Any], protections: list[str]) -> None:
    limits, demuxer = job["limits"], job["demuxer"]
    container = opening.open_media(file, demuxer)
    stream = opening.choose_stream(container, limits)
    reader = reading.Reader(container, stream)
    checked_seconds, is_complete = _check_decodes(reader, limits)
    header_seconds = _read_header_duration(container, stream, reader, file, demuxer)
    is_cut = reader.is_cut or reader.corrupt_packets > 0
    if is_complete:
        duration, source, is_estimated = checked_seconds, "decoded", False
    elif demuxer == "wav" and opening.codec_name(stream) in opening.PCM_CODECS:
        declared_bytes = _read_wav_data_bytes(reader, file)
        duration, source, is_estimated = header_seconds or 0.0, "header", declared_bytes is None
    else:
        duration, source, is_estimated = _measure(reader, header_seconds, job)
    is_cut |= _is_short_of_header(reader, file, job, header_seconds, duration)
    _check_duration(duration, checked_seconds, is_cut, limits)
    channel.send_message(
        {
            "kind": "probe",
            "codec": opening.codec_name(stream),
            "channels": stream.codec_context.channels,
            "sample_rate_hz": stream.codec_context.sample_rate,
            "duration_seconds": duration,
            "duration_source": source,
            "duration_estimated": is_estimated,
            "decoded_seconds_checked": checked_seconds,
            "truncated": is_cut,
            "protections": protections,
        }
    )


def _check_decodes(reader: reading.Reader, limits: dict[str, Any]) -> tuple[float, bool]:
    """Decode the first second; returns what decoded and whether that was the whole file."""
    seconds = 0.0
    for packet in reader.read_packets():
        for frame in reader.decode(packet):
            opening.check_shape(frame.layout.nb_channels, frame.sample_rate, limits)
            seconds += frame.samples / frame.sample_rate
        if seconds >= _CHECKED_SECONDS or reader.packets >= _MAX_CHECKED_PACKETS:
            return seconds, False
    return seconds, True


def _measure(
    reader: reading.Reader, header_seconds: float | None, job: dict[str, Any]
) -> tuple[float, str, bool]:
    """Duration, where it comes from, and whether it is an estimate."""
    limits, size_bytes = job["limits"], job["size_bytes"]
    if header_seconds and size_bytes > limits["walk_bytes"]:
        expected = _extrapolate(reader, size_bytes)
        if expected == 0 or 0.2 < header_seconds / expected < 5:
            return header_seconds, "header", False
    is_complete = _walk(reader, limits)
    if is_complete:
        counted = reader.span_seconds
        if header_seconds and abs(counted - header_seconds) <= _tolerance_seconds(header_seconds):
            return header_seconds, "header", False
        return counted, "packets", True
    return _extrapolate(reader, size_bytes), "packets", True


def _walk(reader: reading.Reader, limits: dict[str, Any]) -> bool:
    """Count packets to the end of the file, or until the time is up."""
    deadline = time.monotonic() + limits["walk_seconds"]
    for _ in reader.read_packets():
        is_time_to_look = reader.packets % _CLOCK_EVERY_PACKETS == 0
        if is_time_to_look and time.monotonic() > deadline:
            return False
        if reader.span_seconds > limits["max_seconds"]:
            return True
    return True


def _extrapolate(reader: reading.Reader, size_bytes: int) -> float:
    """Duration of the file if it goes on as it began; 0 if that cannot be told."""
    first = reader.first_position_bytes or 0
    read_bytes = reader.position_bytes - first
    return reader.span_seconds * (size_bytes - first) / read_bytes if read_bytes > 0 else 0.0


def _read_header_duration(
    container: Any, stream: Any, reader: reading.Reader, file: RemoteFile, demuxer: str
) -> float | None:
    """What the header says; None if FFmpeg only guesses from the bit rate."""
    if demuxer in _RATE_DEMUXERS or (demuxer == "mp3" and not _has_xing(reader, file)):
        return None
    if stream.duration is not None and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / 1e6 if container.duration is not None else None


def _has_xing(reader: reading.Reader, file: RemoteFile) -> bool:
    """Whether an MP3 has a frame that counts its frames, just before its first sound."""
    first = reader.first_position_bytes or 0
    before = file.peek(max(0, first - 4096), min(first, 4096))
    return any(tag in before for tag in (b"Xing", b"Info", b"VBRI"))


def _read_wav_data_bytes(reader: reading.Reader, file: RemoteFile) -> int | None:
    """Size of the sound as the WAV header has it; None if the writer did not know it."""
    first = reader.first_position_bytes or 0
    field = file.peek(first - 4, 4) if first >= 4 else b""
    declared = int.from_bytes(field, "little")
    return declared if 0 < declared < _UNKNOWN_WAV_BYTES else None


def _is_short_of_header(
    reader: reading.Reader,
    file: RemoteFile,
    job: dict[str, Any],
    header_seconds: float | None,
    duration: float,
) -> bool:
    """Whether the file ends before its own header says."""
    if job["demuxer"] == "wav":  # FFmpeg has clipped the header's duration to the file already
        declared = _read_wav_data_bytes(reader, file) or 0
        size_bytes: int = job["size_bytes"]
        return declared > size_bytes - (reader.first_position_bytes or 0)
    return header_seconds is not None and duration < header_seconds - _tolerance_seconds(
        header_seconds
    )


def _tolerance_seconds(header_seconds: float) -> float:
    """Encoder delay, the last packet, and rounding make up to about this."""
    return max(0.5, 0.02 * header_seconds)


def _check_duration(
    duration: float, checked_seconds: float, is_cut: bool, limits: dict[str, Any]
) -> None:
    if is_cut and checked_seconds < _CHECKED_SECONDS:
        raise Refusal("undecodable_audio", f"only {checked_seconds:.3f} s of it decode")
    if max(duration, checked_seconds) < limits["min_seconds"]:
        raise Refusal("audio_too_short", f"{duration:.3f} s; at least {limits['min_seconds']} s")
    if duration > limits["max_seconds"]:
        hours = limits["max_seconds"] / 3600
        raise Refusal("audio_too_long", f"{duration / 3600:.2f} h; at most {hours:g} h")
    if checked_seconds <= 0:
        raise Refusal("undecodable_audio", "no sound in it decodes")
