"""What a file is, by its first bytes. Names and content types are never asked.

The container decides which demuxer FFmpeg is forced to use: it must never choose by itself, or a
playlist inside a media file could make it fetch and read other things.
"""

import dataclasses
import struct
from enum import StrEnum

HEAD_BYTES = 4096
"""How much of a file `sniff` wants to see; less is fine for small files."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Traits:
    media_type: str
    extension: str
    demuxer: str


class Container(StrEnum):
    """Containers that are accepted."""

    WAV = "wav"
    W64 = "w64"
    MP3 = "mp3"
    AAC = "aac"
    M4A = "m4a"
    MP4 = "mp4"
    MOV = "mov"
    WEBM = "webm"
    MATROSKA = "matroska"
    FLAC = "flac"
    OGG = "ogg"
    AIFF = "aiff"
    CAF = "caf"
    AU = "au"
    AMR = "amr"

    @property
    def media_type(self) -> str:
        return _TRAITS[self].media_type

    @property
    def extension(self) -> str:
        """For object keys; without the dot."""
        return _TRAITS[self].extension

    @property
    def demuxer(self) -> str:
        """libavformat's name of the only demuxer that may read the file."""
        return _TRAITS[self].demuxer


_TRAITS = {
    Container.WAV: _Traits("audio/wav", "wav", "wav"),
    Container.W64: _Traits("audio/x-w64", "w64", "w64"),
    Container.MP3: _Traits("audio/mpeg", "mp3", "mp3"),
    Container.AAC: _Traits("audio/aac", "aac", "aac"),
    Container.M4A: _Traits("audio/mp4", "m4a", "mov"),
    Container.MP4: _Traits("video/mp4", "mp4", "mov"),
    Container.MOV: _Traits("video/quicktime", "mov", "mov"),
    Container.WEBM: _Traits("audio/webm", "webm", "matroska"),
    Container.MATROSKA: _Traits("video/x-matroska", "mkv", "matroska"),
    Container.FLAC: _Traits("audio/flac", "flac", "flac"),
    Container.OGG: _Traits("audio/ogg", "ogg", "ogg"),
    Container.AIFF: _Traits("audio/aiff", "aiff", "aiff"),
    Container.CAF: _Traits("audio/x-caf", "caf", "caf"),
    Container.AU: _Traits("audio/basic", "au", "au"),
    Container.AMR: _Traits("audio/amr", "amr", "amr"),
}

_W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_PREFIXES = (
    (b"fLaC", Container.FLAC),
    (b"OggS", Container.OGG),
    (b"caff", Container.CAF),
    (b".snd", Container.AU),
    (b"#!AMR\n", Container.AMR),
    (b"#!AMR-WB\n", Container.AMR),
    (_W64_RIFF, Container.W64),
)

_KNOWN_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or Office document"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG", "a PNG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"#EXTM3U", "a playlist"),
    (b"[playlist]", "a playlist"),
    (b"ffconcat", "a playlist"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"#!/", "a script"),
    (b"{\\rtf", "a text document"),
    (b"\xd0\xcf\x11\xe0", "an Office document"),
    (b"\x30\x26\xb2\x75", "Windows Media (ASF), which is not supported"),
    (b"FLV\x01", "Flash video, which is not supported"),
    (b".RMF", "RealMedia, which is not supported"),
)
_MARKUP = (
    b"<!doctype",
    b"<html",
    b"<head",
    b"<body",
    b"<?xml",
    b"<svg",
    b"<smil",
    b"<mpd",
    b"<asx",
)
_IMAGE_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1", b"avif", b"avis", b"crx ")
_QUICKTIME_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def sniff(head: bytes) -> Container | None:
    """The container that starts with these bytes; None is an answer of 415."""
    if describe(head) is not None:
        return None
    for prefix, container in _PREFIXES:
        if head.startswith(prefix):
            return container
    return (
        _sniff_riff(head)
        or _sniff_aiff(head)
        or _sniff_boxes(head)
        or _sniff_ebml(head)
        or _sniff_mpeg(head)
    )


def describe(head: bytes) -> str | None:
    """What a file is that is certainly not accepted, in words for the answer; None if unknown."""
    for prefix, words in _KNOWN_OTHERS:
        if head.startswith(prefix):
            return words
    text = head[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(_MARKUP):
        return "an HTML or XML document"
    if text.startswith((b"{", b"[")) and _is_text(head):
        return "a JSON document"
    if head[4:8] == b"ftyp" and head[8:12] in _IMAGE_BRANDS:
        return "an HEIF or AVIF image"
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return "AVI video, which is not supported"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "a WebP image"
    return None


def _is_text(head: bytes) -> bool:
    return not any(byte < 9 for byte in head[:256])


def _sniff_riff(head: bytes) -> Container | None:
    is_riff = head[:4] in (b"RIFF", b"RF64", b"BW64")
    return Container.WAV if is_riff and head[8:12] == b"WAVE" else None


def _sniff_aiff(head: bytes) -> Container | None:
    is_aiff = head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC")
    return Container.AIFF if is_aiff else None


def _sniff_boxes(head: bytes) -> Container | None:
    """ISO media and QuickTime: a box size, then its type."""
    kind = head[4:8]
    if kind in _QUICKTIME_BOXES:  # QuickTime from before ftyp existed
        return Container.MOV
    if kind != b"ftyp":
        return None
    brand = head[8:12]
    if brand in (b"M4A ", b"M4B ", b"M4P "):
        return Container.M4A
    return Container.MOV if brand == b"qt  " else Container.MP4


def _sniff_ebml(head: bytes) -> Container | None:
    if not head.startswith(b"\x1a\x45\xdf\xa3"):
        return None
    header = head[:128]  # the DocType is within the EBML header, 31 to 40 bytes in practice
    if b"webm" in header:
        return Container.WEBM
    return Container.MATROSKA if b"matroska" in header else None


def _sniff_mpeg(head: bytes) -> Container | None:
    """MPEG audio and ADTS have no magic number, only frames that follow each other."""
    start, is_tagged = 0, head.startswith(b"ID3") and len(head) >= 10
    if is_tagged:
        start = 10 + _parse_syncsafe(head[6:10])
        if start >= len(head):
            return Container.MP3  # the tag (a cover, mostly) is longer than what we see
        if head.startswith(b"fLaC", start):
            return Container.FLAC
    for offset in range(start, len(head) - 4):
        # Junk before the first frame occurs; there chance is excluded by one frame more.
        min_frames = 2 if offset == start else 3
        if head[offset] == 0xFF and (container := _sniff_frames(head, offset, min_frames)):
            return container
    return Container.MP3 if is_tagged else None


def _sniff_frames(head: bytes, offset: int, min_frames: int) -> Container | None:
    """The kind of frames that follow each other from here to the end of the head.

    One pattern alone also occurs in noise, unless it is exactly the whole file.
    """
    kind, frames = None, 0
    while offset + 6 <= len(head):
        frame = _parse_frame(head[offset : offset + 6])
        if frame is None or (kind is not None and frame[0] is not kind):
            return None
        kind, length_bytes = frame
        frames += 1
        offset += length_bytes
    return kind if frames >= min_frames or offset == len(head) else None


def _parse_frame(header: bytes) -> tuple[Container, int] | None:
    """Kind and length in bytes of an MPEG audio or ADTS frame; None if it is neither."""
    (bits,) = struct.unpack(">I", header[:4])
    if bits >> 21 != 0x7FF:
        return None
    if (bits >> 17) & 3 == 0:
        return _parse_adts(header)
    return _parse_mpeg(bits)


def _parse_adts(header: bytes) -> tuple[Container, int] | None:
    length_bytes = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    is_valid = header[1] >> 4 == 0xF and (header[2] >> 2) & 15 < 13 and length_bytes >= 7
    return (Container.AAC, length_bytes) if is_valid else None


_KBIT_V1 = {
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_KBIT_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_HZ = (44_100, 48_000, 32_000)


def _parse_mpeg(bits: int) -> tuple[Container, int] | None:
    """MPEG 1, 2 and 2.5, layers II and III (ISO 11172-3, 2.4.2.3)."""
    version, layer = (bits >> 19) & 3, 4 - ((bits >> 17) & 3)
    bitrate_index, rate_index, padding = (bits >> 12) & 15, (bits >> 10) & 3, (bits >> 9) & 1
    if version == 1 or layer not in _KBIT_V1 or rate_index == 3 or bitrate_index in (0, 15):
        return None
    is_v1 = version == 3
    rate_hz = _RATES_HZ[rate_index] >> (0 if is_v1 else 1 if version == 2 else 2)
    kbit = (_KBIT_V1[layer] if is_v1 else _KBIT_V2)[bitrate_index]
    slots = 144 if is_v1 or layer == 2 else 72
    return Container.MP3, slots * kbit * 1000 // rate_hz + padding


def _parse_syncsafe(size: bytes) -> int:
    """ID3v2's size: 28 bits, seven to a byte."""
    return (size[0] & 127) << 21 | (size[1] & 127) << 14 | (size[2] & 127) << 7 | size[3] & 127
