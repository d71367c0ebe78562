import hashlib

import pytest
from parlance.contracts.ids import CompanySlug
from parlance.inference.calls import intake
from parlance.inference.calls.errors import InputRejected
from parlance.inference.calls.intake import CheckedSource
from parlance.media.errors import EmptyFile, UnsupportedMedia
from parlance.media.sniff import Container
from parlance.runtime.errors import ObjectNotFound
from parlance.runtime.store import Store

from tests.unit.inference import fakes


async def _open(objects: Store, key: str) -> intake.Audio:
    return await intake.open_audio(objects, key, CompanySlug("acme"), fakes.build_patience())


async def test_the_container_is_told_by_the_bytes(objects: Store) -> None:
    audio = await _open(objects, fakes.AUDIO_KEY)

    assert audio.container is Container.WAV
    assert audio.source.size_bytes == 32_044


async def test_a_missing_object_is_told(objects: Store) -> None:
    with pytest.raises(ObjectNotFound):
        await _open(objects, "acme/calls/none.wav")


async def test_an_empty_object_is_refused(objects: Store) -> None:
    await objects.put_bytes("acme/empty", b"")

    with pytest.raises(EmptyFile):
        await _open(objects, "acme/empty")


async def test_what_is_not_audio_is_refused(objects: Store) -> None:
    await objects.put_bytes("acme/page", b"<html>" * 100)

    with pytest.raises(UnsupportedMedia):
        await _open(objects, "acme/page")


async def test_an_object_of_another_company_is_refused(objects: Store) -> None:
    await objects.put_bytes("globex/calls/1/audio.wav", b"RIFF")

    with pytest.raises(InputRejected):
        await _open(objects, "globex/calls/1/audio.wav")


def _source(objects: Store, wav_bytes: bytes) -> CheckedSource:
    return CheckedSource(objects, fakes.AUDIO_KEY, len(wav_bytes), fakes.build_patience())


@pytest.mark.parametrize(
    "reads",
    [
        [],
        [(0, 32_044)],
        [(0, 4096), (4096, 27_948)],
        [(0, 4096), (30_000, 2_044), (1_000, 20_000)],
        [(0, 4096), (0, 8192), (4096, 4096)],
        [(30_000, 2_044), (0, 100)],
    ],
)
async def test_the_hash_is_right_in_whatever_order_the_decoder_reads(
    objects: Store, wav_bytes: bytes, reads: list[tuple[int, int]]
) -> None:
    source = _source(objects, wav_bytes)
    for offset, length in reads:
        assert await source.read(offset, length) == wav_bytes[offset : offset + length]

    await source.verify(hashlib.sha256(wav_bytes).hexdigest())


async def test_another_file_than_the_one_that_was_accepted_is_refused(
    objects: Store, wav_bytes: bytes
) -> None:
    with pytest.raises(InputRejected, match="SHA-256"):
        await _source(objects, wav_bytes).verify("0" * 64)


async def test_without_a_hash_in_the_job_nothing_is_checked(
    objects: Store, wav_bytes: bytes
) -> None:
    await _source(objects, wav_bytes).verify(None)
