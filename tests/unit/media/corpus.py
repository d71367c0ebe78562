"""Media files made on the spot: good ones in every format, and bad ones of every kind.

Imported by the media tests and by the front end's; nothing of it is stored.
"""

import array
import functools
import io
import math
import random
import struct
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
from av.audio.layout import AudioLayout


def build_pcm(seconds: float, rate_hz: int = 16_000, channels: int = 1) -> bytes:
    """int16, a tone of 300, 600, 900... Hz in each channel."""
    period = rate_hz // 100  # all tones repeat after 10 ms
    sound = array.array(
        "h",
        (_tone(i / rate_hz, 300.0 * (c + 1)) for i in range(period) for c in range(channels)),
    ).tobytes()
    length_bytes = round(seconds * rate_hz) * 2 * channels
    return (sound * (length_bytes // len(sound) + 1))[:length_bytes]


def _tone(seconds: float, hz: float) -> int:
    return int(8_000 * math.sin(2 * math.pi * hz * seconds))


def build_wav(seconds: float, rate_hz: int = 16_000, channels: int = 1) -> bytes:
    return wrap_wav(build_pcm(seconds, rate_hz, channels), rate_hz, channels)


def wrap_wav(pcm: bytes, rate_hz: int = 16_000, channels: int = 1) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm)
    return buffer.getvalue()


def encode(
    muxer: str,
    codec: str,
    seconds: float = 3.0,
    *,
    rate_hz: int = 48_000,
    layout: str = "mono",
    pcm: bytes | None = None,
    bit_rate: int | None = None,
    **muxer_options: str,
) -> bytes:
    """A file of one audio stream, written by FFmpeg."""
    channels = AudioLayout(layout).nb_channels
    sound = pcm if pcm is not None else build_pcm(seconds, rate_hz, channels)
    with tempfile.TemporaryDirectory() as folder:  # some muxers read again what they wrote
        path = Path(folder) / "media"
        with av.open(str(path), "w", format=muxer, options=muxer_options) as container:
            stream: Any = container.add_stream(codec, rate=rate_hz)
            stream.layout = layout
            if bit_rate is not None:
                stream.bit_rate = bit_rate
            for frame in _frames(sound, rate_hz, layout, channels):
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path.read_bytes()


def _frames(sound: bytes, rate_hz: int, layout: str, channels: int) -> list[av.AudioFrame]:
    frames, size = [], 1024 * 2 * channels
    for number, start in enumerate(range(0, len(sound), size)):
        part = sound[start : start + size]
        frame = av.AudioFrame(format="s16", layout=layout, samples=len(part) // (2 * channels))
        frame.planes[0].update(part.ljust(frame.planes[0].buffer_size, b"\0"))
        frame.sample_rate, frame.pts = rate_hz, number * 1024
        frames.append(frame)
    return frames


def build_silent_video(muxer: str = "mp4", codec: str = "mpeg4") -> bytes:
    """A video without an audio stream."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=muxer) as container:
        stream: Any = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def build_video_with_sound(seconds: float = 2.0) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        video: Any = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        audio: Any = container.add_stream("aac", rate=48_000)
        audio.layout = "stereo"
        for _ in range(round(10 * seconds)):
            container.mux(video.encode(av.VideoFrame(64, 64, "yuv420p")))
        for frame in _frames(build_pcm(seconds, 48_000, 2), 48_000, "stereo", 2):
            container.mux(audio.encode(frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return buffer.getvalue()


def build_webm_with_gap(before_seconds: float, gap_seconds: float, after_seconds: float) -> bytes:
    """Opus as a browser sends it when nobody speaks: no packets, time stamps go on."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="webm") as container:
        stream: Any = container.add_stream("libopus", rate=48_000)
        stream.layout = "mono"
        sound = build_pcm(before_seconds + after_seconds, 48_000)
        packets = [p for f in _frames(sound, 48_000, "mono", 1) for p in stream.encode(f)]
        for packet in packets + stream.encode(None):
            if packet.pts >= before_seconds / packet.time_base:
                packet.pts = packet.dts = packet.pts + round(gap_seconds / packet.time_base)
            container.mux(packet)
    return buffer.getvalue()


def set_wav_size(wav: bytes, data_bytes: int) -> bytes:
    """The same WAV with another size in its header."""
    return wav[:40] + struct.pack("<I", data_bytes) + wav[44:]


GOOD: dict[str, Callable[[], bytes]] = {
    "wav 16 kHz": lambda: build_wav(3),
    "wav 8 kHz stereo": lambda: build_wav(3, 8_000, 2),
    "wav 48 kHz 8 channels": lambda: build_wav(2, 48_000, 8),
    "wav mu-law": lambda: encode("wav", "pcm_mulaw", rate_hz=8_000),
    "wav a-law": lambda: encode("wav", "pcm_alaw", rate_hz=8_000),
    "wav ima adpcm": lambda: encode("wav", "adpcm_ima_wav", rate_hz=8_000),
    "wav rf64": lambda: encode("wav", "pcm_s16le", rate_hz=16_000, rf64="always"),
    "w64": lambda: encode("w64", "pcm_s16le", rate_hz=16_000),
    "mp3": lambda: encode("mp3", "libmp3lame", rate_hz=44_100),
    "mp3 stereo": lambda: encode("mp3", "libmp3lame", rate_hz=44_100, layout="stereo"),
    "mp3 without id3": lambda: encode("mp3", "libmp3lame", rate_hz=22_050, id3v2_version="0"),
    "m4a": lambda: encode("ipod", "aac"),
    "m4a index first": lambda: encode("ipod", "aac", movflags="faststart"),
    "m4a alac": lambda: encode("ipod", "alac", rate_hz=44_100),
    "mp4 fragmented": lambda: encode("mp4", "aac", movflags="frag_keyframe+empty_moov"),
    "mp4 with video": build_video_with_sound,
    "mov": lambda: encode("mov", "aac"),
    "webm": lambda: encode("webm", "libopus"),
    "webm without duration": lambda: encode("webm", "libopus", live="1"),
    "mkv": lambda: encode("matroska", "libopus"),
    "flac": lambda: encode("flac", "flac"),
    "ogg opus": lambda: encode("ogg", "libopus"),
    "aiff": lambda: encode("aiff", "pcm_s16be", rate_hz=44_100),
    "caf": lambda: encode("caf", "pcm_s16le", rate_hz=44_100),
    "au": lambda: encode("au", "pcm_s16be", rate_hz=8_000),
    "aac": lambda: encode("adts", "aac"),
}
"""About 3 s each (2 s of the 8 channels and the video), in every format that is accepted."""


@functools.cache
def build_good(name: str) -> bytes:
    return GOOD[name]()


@functools.cache
def build_bad(name: str) -> bytes:
    return BAD[name][0]()


def build_noise(size_bytes: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size_bytes)


def _corrupt(data: bytes, start: int, seed: int = 2) -> bytes:
    return data[:start] + build_noise(len(data) - start, seed)


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


_PLAYLIST = (
    b"#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/secret.ts\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
)
_CONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n"
_DASH = b"<?xml version='1.0'?><MPD><Period><BaseURL>http://127.0.0.1:9/</BaseURL></Period></MPD>"

NOT_AUDIO: dict[str, bytes] = {
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj",
    "html": b"<!DOCTYPE html><html><body>404</body></html>",
    "html after a bom": b"\xef\xbb\xbf\n  <html></html>",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "zip": b"PK\x03\x04\x14\x00\x00\x00",
    "jpeg named mp3": b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(64),
    "png": b"\x89PNG\r\n\x1a\n",
    "gif": b"GIF89a",
    "webp": b"RIFF\x24\x00\x00\x00WEBPVP8 ",
    "avi": b"RIFF\x24\x00\x00\x00AVI LIST",
    "heic": b"\x00\x00\x00\x18ftypheic",
    "hls playlist": _PLAYLIST,
    "concat list": _CONCAT,
    "dash manifest": _DASH,
    "json": b'{"error": "not found"}',
    "text": b"It was the best of times, it was the worst of times.",
    "gzip": b"\x1f\x8b\x08\x00",
    "elf": b"\x7fELF\x02\x01\x01",
    "wma": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
    "noise": build_noise(8192),
    "zeros": bytes(8192),
    "one byte": b"\xff",
}
"""Files for which `sniff` says None."""

BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "wav header only": (lambda: build_wav(1)[:44], "audio_too_short"),
    "wav header cut": (lambda: build_wav(1)[:20], "undecodable_audio"),
    "wav with no samples": (lambda: build_wav(0), "audio_too_short"),
    "wav of 100 ms": (lambda: build_wav(0.1), "audio_too_short"),
    "wav cut after 0.4 s": (lambda: build_wav(3)[: 44 + 12_800], "undecodable_audio"),
    "wav of 9 channels": (lambda: build_wav(1, channels=9), "unsupported_codec"),
    "wav of 1 Hz": (lambda: _set_wav_rate(1), "unsupported_codec"),
    "wav of 4 GHz": (lambda: _set_wav_rate(0xFFFFFFF0), "undecodable_audio"),
    "wav of 0 channels": (lambda: _set_wav_channels(0), "undecodable_audio"),
    "wav of unknown codec": (lambda: _set_wav_format(0x4242), "unsupported_codec"),
    "wav of atrac": (lambda: _set_wav_format(0x0270), "unsupported_codec"),
    "wav with a playlist inside": (
        lambda: wrap_wav(b"")[:44] + _PLAYLIST,
        "audio_too_short",
    ),
    "mp3 tag and a playlist": (lambda: _tagged(_PLAYLIST * 20), "undecodable_audio"),
    "mp3 tag and noise": (lambda: _tagged(build_noise(20_000)), "undecodable_audio"),
    "mp3 tag only": (lambda: _tagged(b""), "undecodable_audio"),
    "mp3 of two frames": (
        lambda: encode("mp3", "libmp3lame", 0.02, rate_hz=44_100),
        "audio_too_short",
    ),
    "m4a without its index": (lambda: _half(encode("ipod", "aac")), "undecodable_audio"),
    "m4a index first, cut early": (
        lambda: encode("ipod", "aac", movflags="faststart")[:2_500],
        "undecodable_audio",
    ),
    "m4a ftyp only": (lambda: b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42", "undecodable_audio"),
    "m4a ftyp and noise": (
        lambda: b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42" + build_noise(20_000),
        "undecodable_audio",
    ),
    "mp4 ftyp and a concat list": (
        lambda: b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + _CONCAT,
        "undecodable_audio",
    ),
    "mp4 box larger than the file": (
        lambda: b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + b"\x7f\xff\xff\xffmoov" + bytes(64),
        "undecodable_audio",
    ),
    "mp4 without sound": (build_silent_video, "no_audio_stream"),
    "webm without sound": (lambda: build_silent_video("webm", "libvpx"), "no_audio_stream"),
    "mkv without sound": (lambda: build_silent_video("matroska"), "no_audio_stream"),
    "webm header only": (lambda: encode("webm", "libopus")[:60], "undecodable_audio"),
    "webm header and noise": (
        lambda: _corrupt(encode("webm", "libopus"), 300),
        "undecodable_audio",
    ),
    "mkv of an unknown codec": (
        lambda: encode("matroska", "libopus").replace(b"A_OPUS", b"A_OOPS"),
        "unsupported_codec",
    ),
    "mkv of true audio": (lambda: encode("matroska", "tta"), "unsupported_codec"),
    "flac magic and noise": (lambda: b"fLaC" + build_noise(20_000), "undecodable_audio"),
    "flac header and noise": (lambda: _corrupt(encode("flac", "flac"), 90), "undecodable_audio"),
    "flac header only": (lambda: encode("flac", "flac")[:42], "undecodable_audio"),
    "flac of 20 h of silence": (lambda: build_flac_bomb(20 * 3600), "audio_too_long"),
    "flac that claims 20 h": (lambda: _claim_flac_seconds(20 * 3600), "undecodable_audio"),
    "ogg magic and noise": (lambda: b"OggS" + build_noise(20_000), "undecodable_audio"),
    "ogg header only": (lambda: encode("ogg", "libopus")[:100], "undecodable_audio"),
    "aiff header only": (lambda: encode("aiff", "pcm_s16be")[:12], "undecodable_audio"),
    "caf magic and noise": (lambda: b"caff\0\1\0\0" + build_noise(9_000), "undecodable_audio"),
    "au magic only": (lambda: b".snd", "undecodable_audio"),
    "amr magic and noise": (lambda: b"#!AMR\n" + build_noise(50), "undecodable_audio"),
}
"""Files that pass `sniff`, and the code they must be refused with."""


def _set_wav_rate(rate_hz: int) -> bytes:
    wav = build_wav(1)
    return wav[:24] + struct.pack("<I", rate_hz) + wav[28:]


def _set_wav_channels(channels: int) -> bytes:
    wav = build_wav(1)
    return wav[:22] + struct.pack("<H", channels) + wav[24:]


def _set_wav_format(tag: int) -> bytes:
    wav = build_wav(1)
    return wav[:20] + struct.pack("<H", tag) + wav[22:]


def _tagged(body: bytes) -> bytes:
    """An empty ID3v2 tag of 64 bytes, then the body."""
    return b"ID3\x04\x00\x00\x00\x00\x00\x40" + bytes(64) + body


def build_flac_bomb(seconds: int) -> bytes:
    """Hours of silence in little: one frame of silence, repeated with running numbers.

    Each FLAC frame carries its number and two checksums, so it has to be built by hand.
    """
    rate_hz, block = 8_000, 65_535
    info = struct.pack(">HH", block, block) + bytes(6)
    info += (rate_hz << 44 | 15 << 36).to_bytes(8, "big") + bytes(16)
    frames = (seconds * rate_hz) // block
    body = b"".join(_build_silent_flac_frame(number, block) for number in range(frames))
    return b"fLaC\x80\x00\x00\x22" + info + body


def _build_silent_flac_frame(number: int, block: int) -> bytes:
    # Sync, fixed block size; size in 16 bits at the end, rate as in the stream; mono, 16 bit.
    head = b"\xff\xf8\x70\x08" + _format_utf8(number) + struct.pack(">H", block - 1)
    head += bytes([_crc(head, 8, 0x07)])
    frame = head + b"\x00\x00\x00"  # one constant subframe, value 0
    return frame + struct.pack(">H", _crc(frame, 16, 0x8005))


def _format_utf8(number: int) -> bytes:
    return chr(number).encode() if number < 0xD800 else b""


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    value = 0
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = (value << 1) ^ (polynomial if value >> (bits - 1) else 0)
            value &= (1 << bits) - 1
    return value


def _claim_flac_seconds(seconds: int) -> bytes:
    """A FLAC header that claims hours, with 0.3 s of sound behind it."""
    data = bytearray(encode("flac", "flac", 0.3))
    (bits,) = struct.unpack_from(">Q", data, 18)
    struct.pack_into(">Q", data, 18, (bits >> 36 << 36) | seconds * 48_000)
    return bytes(data)
