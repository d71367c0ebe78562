"""Audio that a job names by `uri`: fetched into the store first, then like any other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from parlance.contracts import objects
from parlance.contracts.bus.calls import CallDispatch
from parlance.contracts.crs.meta import Reason
from parlance.contracts.problems import Problem
from parlance.inference.calls.errors import FetchFailed, InputRejected, OutOfTime
from parlance.inference.engine.patience import Patience
from parlance.inference.engine.waits import Awaited
from parlance.media import sniff
from parlance.media.errors import EmptyFile, UnsupportedMedia
from parlance.runtime import fetch
from parlance.runtime.store import Store

FETCHING = Awaited("uri", Reason.FETCHING_AUDIO, "fetching the audio from its address")
_TRIES = 3
"""However long each took: a large file may break off long after our patience is over."""


class Fetcher(Protocol):
    """Brings what a job's `uri` names into the store; returns the object's key."""

    async def fetch(self, dispatch: CallDispatch) -> str: ...


async def fetch_in_time(
    fetch_once: Callable[[], Awaitable[str]], patience: Patience, seconds_left: float | None
) -> str:
    """Fetch, again if need be, for no longer than the job has time. Raises OutOfTime, and what
    `Fetcher.fetch` raises."""
    deadline = asyncio.timeout(seconds_left)
    try:
        async with deadline:
            return await patience.persist(FETCHING, fetch_once, min_tries=_TRIES)
    except TimeoutError as exc:
        if seconds_left is None or not deadline.expired():
            raise  # of something that was called; the job's time is not over
        raise OutOfTime(seconds_left) from exc


class UriFetcher:
    """The `Fetcher` of production, for https; every address is checked as the API checks it."""

    def __init__(self, store: Store, fetcher: fetch.Fetcher) -> None:
        self._store = store
        self._fetcher = fetcher

    async def fetch(self, dispatch: CallDispatch) -> str:
        """Raises InputRejected, MediaError, FetchFailed and what the store raises."""
        uri = dispatch.uri or ""
        if not uri.startswith("https://"):
            scheme = uri.partition(":")[0] if ":" in uri else "none"
            raise InputRejected(
                Problem.URL_NOT_ALLOWED,
                f"The audio's uri must be https; {scheme[:16]!r} is not supported by this worker.",
            )
        try:
            async with self._fetcher.open_url(uri) as fetched:
                return await self._put(dispatch, fetched.chunks())
        except fetch.FetchError as exc:
            if exc.problem.retryable:
                raise FetchFailed(exc.problem) from exc
            raise InputRejected(exc.problem, exc.problem.title) from exc

    async def _put(self, dispatch: CallDispatch, chunks: AsyncIterator[bytes]) -> str:
        """Store the body under a key that tells its container, as the API would have."""
        head, rest = await _split_head(chunks)
        if not head:
            raise EmptyFile
        container = sniff.sniff(head)
        if container is None:
            raise UnsupportedMedia(sniff.describe(head) or "")
        key = objects.format_audio_key(dispatch.company, dispatch.call_id, container.extension)
        await self._store.put_stream(key, rest)
        return key


async def _split_head(chunks: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """The first bytes, to look at, and the whole stream, to store."""
    taken: list[bytes] = []
    size_bytes = 0
    async for chunk in chunks:
        taken.append(chunk)
        size_bytes += len(chunk)
        if size_bytes >= sniff.HEAD_BYTES:
            break

    async def whole() -> AsyncIterator[bytes]:
        for chunk in taken:
            yield chunk
        async for chunk in chunks:
            yield chunk

    return b"".join(taken)[: sniff.HEAD_BYTES], whole()
