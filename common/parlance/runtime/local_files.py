"""Writing a stream into a local folder: hashed and written in a thread, a batch behind the stream.

The bare minimum that `file://` needs beside obstore, whose multipart upload copies every byte into
parts first and costs half again as much processor time. Used by `runtime.store` only.
"""

import asyncio
import contextlib
import hashlib
import os
import pathlib
from collections.abc import AsyncIterator, Iterator
from typing import BinaryIO

from parlance.runtime.errors import StoreUnavailable

_BATCH_BYTES = 1 << 20
"""One step of the thread. Two buffers of this size, used in turn, are all the memory it takes: new
ones for each step would be mapped and zeroed by the kernel, which costs as much as the copy."""


_SYNC_BYTES = 32 << 20
"""Written bytes are sent to the disk from time to time: the flush at the end finds little left."""


class StreamHasher:
    """Hashes in a thread: beside the wait for the next chunks, which takes as long."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._hash = hashlib.sha256()
        self._filling = memoryview(bytearray(_BATCH_BYTES))
        self._resting = memoryview(bytearray(_BATCH_BYTES))
        self._filled = 0
        self._running: asyncio.Future[None] | None = None

    async def update(self, chunk: bytes) -> None:
        """The chunk is copied; its owner may do with it what it likes."""
        self.size_bytes += len(chunk)
        view = memoryview(chunk)
        while view:
            taken = min(len(view), _BATCH_BYTES - self._filled)
            self._filling[self._filled : self._filled + taken] = view[:taken]
            self._filled += taken
            view = view[taken:]
            if self._filled == _BATCH_BYTES:
                await self._start_batch()

    async def finish(self) -> str:
        """Everything is taken. Returns the SHA-256."""
        await self._start_batch()
        await self.settle()
        return self._hash.hexdigest()

    async def settle(self) -> None:
        """Wait for the thread."""
        if self._running is not None:
            await self._running

    async def _start_batch(self) -> None:
        await self.settle()
        batch = self._filling[: self._filled]
        self._filling, self._resting, self._filled = self._resting, self._filling, 0
        loop = asyncio.get_running_loop()
        self._running = loop.run_in_executor(None, self._take_batch, batch)

    def _take_batch(self, batch: memoryview) -> None:
        self._hash.update(batch)


class _FileWriter(StreamHasher):
    """Writes the stream to a file too. Its methods raise OSError when the disk does not take it."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._syncing: asyncio.Future[None] | None = None
        self._synced_bytes = 0

    async def finish(self) -> str:
        sha256 = await super().finish()
        await self.close()
        return sha256

    async def close(self) -> None:
        """No thread uses the file any more."""
        await self.settle()
        if self._syncing is not None:
            await self._syncing

    async def _start_batch(self) -> None:
        await super()._start_batch()
        is_idle = self._syncing is None or self._syncing.done()
        if is_idle and self.size_bytes - self._synced_bytes >= _SYNC_BYTES:
            if self._syncing is not None:
                await self._syncing  # done; an error of the disk comes out here
            self._synced_bytes = self.size_bytes
            loop = asyncio.get_running_loop()
            self._syncing = loop.run_in_executor(None, os.fdatasync, self._file.fileno())

    def _take_batch(self, batch: memoryview) -> None:
        super()._take_batch(batch)
        self._file.write(batch)


async def write_stream(
    path: pathlib.Path, part: pathlib.Path, chunks: AsyncIterator[bytes]
) -> tuple[int, str]:
    """Write to `part`, then move it to `path`; returns size and SHA-256.

    Whatever goes wrong, `part` is removed. Raises StoreUnavailable for what the disk does not
    take; errors of the stream come out unchanged.
    """
    with _translated():
        file = await asyncio.to_thread(_open, part)
    writer = _FileWriter(file)
    try:
        async for chunk in chunks:
            with _translated():
                await writer.update(chunk)
        with _translated():
            sha256 = await writer.finish()
            await asyncio.to_thread(_close_and_move, file, part, path)
    except BaseException:
        await asyncio.shield(asyncio.ensure_future(_discard(writer, file, part)))
        raise
    return writer.size_bytes, sha256


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StoreUnavailable(type(exc).__name__) from exc


async def _discard(writer: _FileWriter, file: BinaryIO, part: pathlib.Path) -> None:
    """A thread may still write: the file is closed only after it."""
    with contextlib.suppress(OSError):
        await writer.close()
    await asyncio.to_thread(_close_and_remove, file, part)


def _open(part: pathlib.Path) -> BinaryIO:
    part.parent.mkdir(parents=True, exist_ok=True)
    return part.open("xb")


def _close_and_move(file: BinaryIO, part: pathlib.Path, path: pathlib.Path) -> None:
    file.close()
    path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(part, path)  # noqa: PTH105 - the same, and its failure names both


def _close_and_remove(file: BinaryIO, part: pathlib.Path) -> None:
    with contextlib.suppress(OSError):
        file.close()
    part.unlink(missing_ok=True)
