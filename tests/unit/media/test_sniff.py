"""Containers are told by their bytes; everything else is refused."""

import pytest
from parlance.media import sniff
from parlance.media.sniff import Container

from tests.unit.media import corpus


@pytest.mark.parametrize(
    ("head", "container"),
    [
        (b"RIFF\x24\0\0\0WAVEfmt ", Container.WAV),
        (b"RF64\xff\xff\xff\xffWAVEds64", Container.WAV),
        (b"fLaC\0\0\0\x22", Container.FLAC),
        (b"OggS\0\x02", Container.OGG),
        (b"FORM\0\0\0\0AIFF", Container.AIFF),
        (b"FORM\0\0\0\0AIFC", Container.AIFF),
        (b"\0\0\0\x20ftypM4A \0\0\0\0", Container.M4A),
        (b"\0\0\0\x20ftypisom\0\0\0\0", Container.MP4),
        (b"\0\0\0\x14ftypqt  \0\0\0\0", Container.MOV),
        (b"\0\0\0\x08wide\0\0\0\0mdat", Container.MOV),
        (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\x82\x84webm", Container.WEBM),
        (b"\x1a\x45\xdf\xa3\xa3B\x86\x81\x01B\x82\x88matroska", Container.MATROSKA),
        (b"caff\0\x01", Container.CAF),
        (b".snd\0\0\0\x18", Container.AU),
        (b"#!AMR\n<", Container.AMR),
        (b"ID3\x04\0\0\0\0\0\0fLaC", Container.FLAC),
        (b"ID3\x04\0\0\0\x7f\x7f\x7f" + bytes(64), Container.MP3),
    ],
)
def test_a_container_is_known_by_its_magic(head: bytes, container: Container) -> None:
    assert sniff.sniff(head) is container


@pytest.mark.parametrize("name", corpus.NOT_AUDIO)
def test_what_is_not_audio_is_refused(name: str) -> None:
    assert sniff.sniff(corpus.NOT_AUDIO[name]) is None


@pytest.mark.parametrize("bit_rate", [32_000, 128_000, 320_000])
def test_mp3_without_a_tag_is_known_by_its_frames(bit_rate: int) -> None:
    data = corpus.encode(
        "mp3", "libmp3lame", 1.0, rate_hz=44_100, bit_rate=bit_rate, id3v2_version="0"
    )

    assert sniff.sniff(data[: sniff.HEAD_BYTES]) is Container.MP3


def test_mp3_is_known_behind_junk() -> None:
    data = corpus.encode("mp3", "libmp3lame", 1.0, rate_hz=44_100, id3v2_version="0")

    assert sniff.sniff((bytes(500) + data)[: sniff.HEAD_BYTES]) is Container.MP3


def test_adts_is_not_taken_for_mp3() -> None:
    data = corpus.encode("adts", "aac", 1.0)

    assert sniff.sniff(data[: sniff.HEAD_BYTES]) is Container.AAC


@pytest.mark.parametrize("seed", range(200))
def test_noise_is_not_taken_for_audio(seed: int) -> None:
    assert sniff.sniff(corpus.build_noise(sniff.HEAD_BYTES, seed)) is None


@pytest.mark.parametrize("name", corpus.GOOD)
def test_every_prefix_of_a_good_file_is_answered(name: str) -> None:
    head = corpus.build_good(name)[:64]

    for length in range(len(head)):
        sniff.sniff(head[:length])  # no exception


def test_a_refusal_says_what_it_saw() -> None:
    assert sniff.describe(b"%PDF-1.7") == "a PDF document"
    assert sniff.describe(b"#EXTM3U\n") == "a playlist"
    assert sniff.describe(b"RIFF\0\0\0\0WAVE") is None


def test_every_container_has_its_traits() -> None:
    for container in Container:
        assert container.media_type.startswith(("audio/", "video/"))
        assert container.extension.isalnum()
        assert container.demuxer
