import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from parlance.contracts.problems import Problem
from parlance.inference.calls import fetching
from parlance.inference.calls.errors import FetchFailed, InputRejected, OutOfTime
from parlance.inference.calls.fetching import UriFetcher
from parlance.media.errors import EmptyFile, UnsupportedMedia
from parlance.runtime import fetch
from parlance.runtime.store import Store

from tests.unit.inference import fakes


class _Answer:
    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    async def chunks(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part


class _Internet(fetch.Fetcher):
    """Answers every address alike."""

    def __init__(self, *parts: bytes, failure: fetch.FetchError | None = None) -> None:
        self._parts = list(parts)
        self._failure = failure

    @asynccontextmanager
    async def open_url(self, url: str) -> AsyncIterator[_Answer]:  # type: ignore[override]
        if self._failure is not None:
            raise self._failure
        yield _Answer(self._parts)


async def _fetch(objects: Store, internet: _Internet, uri: str = "https://pbx.example/1") -> str:
    dispatch = fakes.build_dispatch(object_key=None, uri=uri)
    return await UriFetcher(objects, internet).fetch(dispatch)


@pytest.mark.parametrize("part_bytes", [10, 4096, 100_000])
async def test_the_audio_lands_in_the_store_under_its_containers_name(
    objects: Store, wav_bytes: bytes, part_bytes: int
) -> None:
    parts = [wav_bytes[at : at + part_bytes] for at in range(0, len(wav_bytes), part_bytes)]

    key = await _fetch(objects, _Internet(*parts))

    assert key == f"acme/calls/{fakes.CALL_ID}/audio.wav"
    assert await objects.get_bytes(key) == wav_bytes


@pytest.mark.parametrize("uri", ["http://pbx.example/1", "s3://bucket/key", "file:///etc/passwd"])
async def test_other_schemes_are_refused_in_words(objects: Store, uri: str) -> None:
    with pytest.raises(InputRejected, match="must be https") as raised:
        await _fetch(objects, _Internet(), uri)

    assert raised.value.problem is Problem.URL_NOT_ALLOWED


async def test_a_page_instead_of_audio_is_refused_and_not_stored(objects: Store) -> None:
    with pytest.raises(UnsupportedMedia):
        await _fetch(objects, _Internet(b"<!doctype html><p>sign in"))

    keys = [stored.key async for stored in objects.list("acme/")]
    assert keys == [fakes.AUDIO_KEY]


async def test_an_empty_answer_is_refused(objects: Store) -> None:
    with pytest.raises(EmptyFile):
        await _fetch(objects, _Internet())


async def test_an_address_that_is_down_may_be_tried_again(objects: Store) -> None:
    with pytest.raises(FetchFailed):
        await _fetch(objects, _Internet(failure=fetch.UpstreamFailed()))


async def test_a_fetch_that_outlasts_the_job_is_out_of_time() -> None:
    with pytest.raises(OutOfTime):
        await fetching.fetch_in_time(_never, fakes.build_patience(), 0.01)


async def test_a_timeout_of_the_fetch_itself_is_not_the_end_of_the_jobs_time() -> None:
    async def fetch_once() -> str:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await fetching.fetch_in_time(fetch_once, fakes.build_patience(), 60.0)


async def _never() -> str:
    await asyncio.Event().wait()
    return ""


async def test_an_address_that_refuses_is_final(objects: Store) -> None:
    with pytest.raises(InputRejected) as raised:
        await _fetch(objects, _Internet(failure=fetch.UpstreamRefused(404)))

    assert raised.value.problem is Problem.AUDIO_FETCH_FAILED
