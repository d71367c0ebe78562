"""Job `probe`: what the file is, that it decodes, and how long it lasts. In bounded time.

Duration is trusted in this order: decoded samples (short files are decoded whole), counted packets
(files up to `walk_bytes`, and all whose header cannot be believed), the header. A count that would
take too long is stopped and extrapolated. Only the worker, which decodes everything, is exact.
"""

import time
from typing import Any

from parlance.media.child import headers, opening, reading
from parlance.media.child.channel import Channel
from parlance.media.child.refusal import Refusal
from parlance.media.child.remote import RemoteFile

_CHECKED_SECONDS = 1.0
"""So much must decode; after that the file is taken to be audio."""
_MAX_CHECKED_PACKETS = 2_000
_CLOCK_EVERY_PACKETS = 1_024


def run(channel: Channel, file: RemoteFile, job: dict[str, Any]) -> None:
    limits, demuxer = job["limits"], job["demuxer"]
    container = opening.open_media(file, demuxer)
    stream = opening.choose_stream(container, limits)
    reader = reading.Reader(container, stream)
    checked_seconds, is_complete = _check_decodes(reader, limits)
    header = headers.Header(container, stream, reader, file, demuxer)
    is_cut = reader.is_cut or reader.corrupt_packets > 0
    if is_complete:
        duration, source, is_estimated = checked_seconds, "decoded", False
    elif demuxer == "wav" and opening.codec_name(stream) in opening.PCM_CODECS:
        duration, source, is_estimated = header.seconds or 0.0, "header", header.is_wav_size_unknown
    else:
        duration, source, is_estimated = _measure(reader, header.seconds, job)
    is_cut |= header.says_more_than(duration)
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
        if header_seconds and headers.agree(header_seconds, counted):
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
