"""Opening untrusted media: one demuxer, one audio stream, codecs from a closed list.

FFmpeg never probes the format, never opens a second file or address, and no video decoder is
ever started, not even to look at a frame.
"""

from typing import Any

import av
import av.error
import av.logging
from av.stream import Discard
from parlance.media.child.refusal import Refusal
from parlance.media.child.remote import RemoteFile

_READ_BYTES = 1 << 16

PCM_CODECS = frozenset(
    f"pcm_{name}"
    for name in [
        "s16le",
        "s16be",
        "s24le",
        "s24be",
        "s32le",
        "s32be",
        "s8",
        "u8",
        "u16le",
        "u16be",
        "f32le",
        "f32be",
        "f64le",
        "f64be",
        "mulaw",
        "alaw",
    ]
)
CODECS = PCM_CODECS | frozenset(
    [
        "aac",
        "ac3",
        "adpcm_g722",
        "adpcm_g726",
        "adpcm_ima_qt",
        "adpcm_ima_wav",
        "adpcm_ms",
        "alac",
        "amr_nb",
        "amr_wb",
        "eac3",
        "flac",
        "gsm",
        "gsm_ms",
        "mp2",
        "mp3",
        "opus",
        "speex",
        "vorbis",
    ]
)
"""Codecs by FFmpeg's codec id. What telephones, recorders, browsers and editors write."""

_DECODERS = sorted(
    CODECS | {"mp3float", "mp2float", "amrnb", "amrwb", "g722", "g726", "libopus", "libvorbis"}
)
"""The same by the names of their decoders, which is how `codec_whitelist` wants them."""

_OPTIONS = {
    "protocol_whitelist": "none",  # nothing is ever opened by name
    "codec_whitelist": ",".join(_DECODERS),
    "max_streams": "64",
    "probesize": str(5 << 20),
}
_DEMUXER_OPTIONS = {
    "mov": {"enable_drefs": "0", "use_absolute_path": "0", "ignore_chapters": "1"},
    "wav": {
        "max_size": "65536",  # packets of 64 KiB: fewer turns of the loop in Python
        "max_probe_packets": "1",  # else 5 MB of PCM are searched for DTS: 0.1 s for every file
    },
}


def open_media(file: RemoteFile, demuxer: str) -> Any:
    """The open container. A file that its own demuxer refuses is undecodable."""
    av.logging.set_level(None)
    options = _OPTIONS | _DEMUXER_OPTIONS.get(demuxer, {})
    try:
        return av.open(
            file,
            mode="r",
            format=demuxer,
            options=options,
            buffer_size=_READ_BYTES,
            metadata_errors="replace",
        )
    except (av.error.FFmpegError, EOFError) as error:
        raise Refusal("undecodable_audio", "its header is broken or cut off") from error


def choose_stream(container: Any, limits: dict[str, Any]) -> Any:
    """The first audio stream that we decode; all other streams are skipped while demuxing."""
    audio = container.streams.audio
    if not audio:
        if len(container.streams) == 0:
            raise Refusal("undecodable_audio", "it holds no streams")
        raise Refusal("no_audio_stream", "it has no sound, only other streams")
    stream = next((s for s in audio if codec_name(s) in CODECS), None)
    if stream is None:
        names = ", ".join(sorted({codec_name(s) for s in audio}))
        raise Refusal("unsupported_codec", f"codec {names} is not supported")
    for other in container.streams:
        other.discard = Discard.default if other is stream else Discard.all
    # One thread: the sandbox lets no others be made, and the cores belong to other calls.
    stream.codec_context.thread_count = 1
    check_shape(stream.codec_context.channels, stream.codec_context.sample_rate, limits)
    return stream


def codec_name(stream: Any) -> str:
    context = stream.codec_context
    return context.codec.canonical_name if context is not None else "unknown"


def check_shape(channels: int, sample_rate_hz: int, limits: dict[str, Any]) -> None:
    """Refuse shapes over the limits. 0 is "not known before a frame is decoded"."""
    if channels > limits["max_channels"]:
        raise Refusal("unsupported_codec", f"{channels} channels; at most {limits['max_channels']}")
    low, high = limits["min_sample_rate_hz"], limits["max_sample_rate_hz"]
    if sample_rate_hz and not low <= sample_rate_hz <= high:
        raise Refusal("unsupported_codec", f"{sample_rate_hz} Hz; {low} to {high} Hz are supported")
