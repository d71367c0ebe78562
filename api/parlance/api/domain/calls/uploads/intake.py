"""From a stream of bytes to an object in the store that is known to be audio.

The same for an upload and for a fetched address: the first bytes decide what it is, the rest goes
straight into the store while it is hashed and counted, then a sandboxed child probes it. `Holding`
sees to it that nothing is left behind. Called by `reading`, `fetching` and `accepting`.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from parlance.api.db.errors import QueryRejected, RowConflict, RowMissing
from parlance.api.http import body, multipart
from parlance.api.http.errors import FieldError, Refused
from parlance.contracts.problems import Problem
from parlance.media import probe, sniff
from parlance.media.errors import MediaError
from parlance.media.limits import MediaLimits
from parlance.media.sniff import Container
from parlance.media.spawning import Spawner
from parlance.runtime.errors import RuntimeFault
from parlance.runtime.store import Store
from prometheus_client import Counter

_BYTES = Counter("parlance_intake_bytes", "Audio bytes taken in.")
_REFUSED = Counter("parlance_intake_refused", "Audio refused, by problem code.", ["code"])

BLOCK_BYTES = 64 * 1024
PROBE_SECONDS = 20.0
_BUSY_RETRY_SECONDS = 5
_ROLLED_BACK = (Refused, RowConflict, RowMissing, QueryRejected)
"""What is only raised when nothing was committed."""

FormatKey = Callable[[Container], str]


@dataclass(frozen=True, slots=True)
class TakenAudio:
    """An object in the store that starts like audio."""

    key: str
    container: Container
    size_bytes: int
    sha256: str


class StoredSource:
    """An object of the store as the sandboxed decoder reads it."""

    def __init__(self, store: Store, key: str, size_bytes: int) -> None:
        self._store = store
        self._key = key
        self._size_bytes = size_bytes

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    async def read(self, offset: int, length: int) -> bytes:
        return await self._store.read_range(self._key, offset, length)


class Intake:
    """Takes audio in; one per process."""

    def __init__(
        self,
        store: Store,
        *,
        max_bytes: int,
        limits: MediaLimits | None = None,
        spawner: Spawner | None = None,
    ) -> None:
        self._store = store
        self._limits = limits or MediaLimits()
        self._spawner = spawner
        self.max_bytes = max_bytes

    async def take(
        self,
        chunks: AsyncIterator[bytes],
        format_key: FormatKey,
        field: str = "call",
    ) -> TakenAudio:
        """Store the stream; it is durable once `examine` has returned.

        Raises Refused (blaming `field`) for what is not audio or too large, StoreUnavailable, and
        whatever the stream raises; then nothing is left in the store.
        """
        counted = self._count(chunks)
        async with contextlib.aclosing(body.gather(counted, BLOCK_BYTES)) as blocks:
            first = await anext(blocks, b"")
            container = identify(first[: sniff.HEAD_BYTES], field)
            key = format_key(container)
            stored = await self._store.put_stream(key, _chain(first, blocks), is_flushed=False)
        assert stored.sha256 is not None
        _BYTES.inc(stored.size_bytes)
        return TakenAudio(key, container, stored.size_bytes, stored.sha256)

    async def examine(self, audio: TakenAudio, field: str = "call") -> probe.ProbedMedia:
        """Decode a little of it, away from everything, while the disk is flushed. Afterwards the
        object is durable. Raises Refused, StoreUnavailable."""
        source = StoredSource(self._store, audio.key, audio.size_bytes)
        try:
            found, _ = await asyncio.gather(
                probe.probe(
                    source, audio.container, self._limits, PROBE_SECONDS, spawner=self._spawner
                ),
                self._store.flush(audio.key),
            )
        except MediaError as exc:
            raise _refuse_media(exc, field) from exc
        return found

    async def move(self, audio: TakenAudio, key: str) -> TakenAudio:
        await self._store.rename(audio.key, key)
        return TakenAudio(key, audio.container, audio.size_bytes, audio.sha256)

    async def delete(self, key: str) -> None:
        """Remove what is not wanted, also while this task is being cancelled. What cannot be
        removed now is found by the janitor."""
        with contextlib.suppress(RuntimeFault):
            await asyncio.shield(asyncio.ensure_future(self._store.delete(key)))

    async def _count(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        size_bytes = 0
        async for chunk in chunks:
            size_bytes += len(chunk)
            if size_bytes > self.max_bytes:
                raise multipart.refuse_body(self.max_bytes)
            yield chunk


class Holding:
    """The file of one request in the store. Deleted when the block ends, unless a call has it then.

    Not where a commit was under way and its answer is missing: the call may exist, and would be
    without its audio. If it does not, the janitor finds the file.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._is_committing = False
        self.audio: TakenAudio | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, _: TracebackType | None
    ) -> None:
        if self.audio is not None and not (
            self._is_committing and not isinstance(exc, _ROLLED_BACK)
        ):
            await self._intake.delete(self.audio.key)

    async def take(
        self, chunks: AsyncIterator[bytes], format_key: FormatKey, field: str
    ) -> TakenAudio:
        """See `Intake.take`."""
        self.audio = await self._intake.take(chunks, format_key, field)
        return self.audio

    async def move(self, key: str) -> None:
        assert self.audio is not None, "there is a file"
        self.audio = await self._intake.move(self.audio, key)

    def note_commit(self) -> None:
        """The transaction is about to be committed: from here on only the database knows whether
        there is a call."""
        self._is_committing = True

    def note_rollback(self) -> None:
        """It was not committed."""
        self._is_committing = False


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    yield first
    async for block in rest:
        yield block


def identify(head: bytes, field: str) -> Container:
    """What the file is, by its first bytes. Raises Refused."""
    if not head:
        raise _refuse(Problem.EMPTY_FILE, "The file is empty.", field)
    container = sniff.sniff(head)
    if container is None:
        what = sniff.describe(head)
        detail = f"The file is {what}." if what else "The file is of no audio format we know."
        raise _refuse(Problem.UNSUPPORTED_MEDIA, detail, field)
    return container


def _refuse_media(exc: MediaError, field: str) -> Refused:
    if exc.retryable:
        return Refused(Problem.UNAVAILABLE, headers={"Retry-After": str(_BUSY_RETRY_SECONDS)})
    return _refuse(exc.problem, exc.detail, field)


def _refuse(problem: Problem, detail: str, field: str) -> Refused:
    _REFUSED.labels(problem.code).inc()
    return Refused(problem, detail, errors=[FieldError(f"/{field}", problem.code, problem.title)])
