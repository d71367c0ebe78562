"""Writing a stream into a local folder, hashed on the way, whole or not at all.

Used by `runtime.store` for `file://`, where obstore would copy every byte into parts first.

A thread hashes and writes large steps while the next one arrives in the other of two buffers. Small
steps were measured and cost more in hand-overs than the thread gives; both in the event loop take
half as long again, and a full disk cache would stop the loop. A second thread sends what is written
to the disk from time to time, so that the flush at the end finds little left.
"""

import asyncio
import contextlib
import hashlib
import mmap
import os
import pathlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import BinaryIO

from parlance.runtime.errors import StoreUnavailable

STEP_BYTES = 8 << 20
"""Two of them are all the memory that an upload takes; of a smaller file only its size. With 4 MiB
a 500 MB upload took 4 % longer, with 1 MiB a tenth."""
WRITE_BYTES = 128 << 10
"""One write. For larger ones the kernel looks for large pieces of memory, and when it has been
running for a while that takes it several times as long as the copy (ext4 on Linux 6.18)."""
SYNC_BYTES = 4 << 20
"""A flush begins when the one before is done and so much came since: what the flush at the end
finds left is what the client waits for. With 32 MiB a 500 MB upload took a tenth longer."""


async def write_stream(
    path: pathlib.Path, part: pathlib.Path, chunks: AsyncIterator[bytes]
) -> tuple[int, str]:
    """Write to `part`, then move it to `path`; returns size and SHA-256.

    Whatever goes wrong, `part` is removed; a cancellation that comes while it is being moved finds
    the whole file at `path`. Raises StoreUnavailable for what the disk does not take; errors of the
    stream come out unchanged.
    """
    writer = _Writer(part)
    try:
        await writer.open()
        async for chunk in chunks:
            await writer.write(chunk)
        await writer.finish(path)
    except BaseException:
        await asyncio.shield(asyncio.ensure_future(writer.discard()))
        raise
    return writer.size_bytes, writer.sha256


class _Writer:
    """A file and the hash of what was written. Its methods raise StoreUnavailable.

    A cancellation must not reach the future of a thread: the thread goes on, and nobody could wait
    for its end any more. So they are shielded wherever they are awaited.
    """

    def __init__(self, part: pathlib.Path) -> None:
        self.size_bytes = 0
        self._part = part
        self._file: BinaryIO | None = None
        self._hash = hashlib.sha256()
        # Used in turn. Mapped, since a small file shall pay for its size only: a bytearray is
        # zeroed from end to end when it is made.
        self._filling = memoryview(mmap.mmap(-1, STEP_BYTES))
        self._resting = memoryview(mmap.mmap(-1, STEP_BYTES))
        self._filled = 0
        self._step: asyncio.Future[None] | None = None
        self._sync: asyncio.Future[None] | None = None
        self._synced_bytes = 0
        self._running: set[asyncio.Future[None]] = set()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    async def open(self) -> None:
        with _translated():
            await asyncio.shield(self._start(self._open))

    async def write(self, chunk: bytes) -> None:
        """The chunk is copied."""
        self.size_bytes += len(chunk)
        view = memoryview(chunk)
        while view:
            taken = min(len(view), STEP_BYTES - self._filled)
            self._filling[self._filled : self._filled + taken] = view[:taken]
            self._filled += taken
            view = view[taken:]
            if self._filled == STEP_BYTES:
                await self._hand_over()

    async def finish(self, path: pathlib.Path) -> None:
        """Everything is hashed, written and moved to `path`."""
        await self._hand_over()
        with _translated():
            for running in (self._step, self._sync):
                if running is not None:
                    await asyncio.shield(running)
            await asyncio.shield(self._start(self._close_and_move, path))

    async def discard(self) -> None:
        """Nothing is left, and no thread uses the file any more."""
        if self._running:
            await asyncio.wait(self._running)  # raises none of their errors
        await asyncio.to_thread(self._close_and_remove)

    async def _hand_over(self) -> None:
        with _translated():
            await self._take_turns()

    async def _take_turns(self) -> None:
        """The full buffer goes to the thread, once it is done with the other one."""
        if self._step is not None:
            await asyncio.shield(self._step)
        batch = self._filling[: self._filled]
        self._filling, self._resting, self._filled = self._resting, self._filling, 0
        self._step = self._start(self._take, batch)
        is_idle = self._sync is None or self._sync.done()
        if is_idle and self.size_bytes - self._synced_bytes >= SYNC_BYTES:
            if self._sync is not None:
                await asyncio.shield(self._sync)  # done; an error of the disk comes out here
            self._synced_bytes = self.size_bytes
            self._sync = self._start(self._flush)

    def _start(self, function: Callable[..., None], *arguments: object) -> "asyncio.Future[None]":
        """Run it in a thread; `discard` waits for its end."""
        running = asyncio.get_running_loop().run_in_executor(None, function, *arguments)
        self._running.add(running)
        running.add_done_callback(self._note_end)
        return running

    def _note_end(self, ended: "asyncio.Future[None]") -> None:
        self._running.discard(ended)
        if not ended.cancelled():
            ended.exception()  # whoever was to await it may be gone; asyncio would complain

    def _open(self) -> None:
        self._part.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._part.open("xb")

    def _take(self, batch: memoryview) -> None:
        assert self._file is not None
        self._hash.update(batch)
        for start in range(0, len(batch), WRITE_BYTES):
            self._file.write(batch[start : start + WRITE_BYTES])

    def _flush(self) -> None:
        assert self._file is not None
        os.fdatasync(self._file.fileno())

    def _close_and_move(self, path: pathlib.Path) -> None:
        assert self._file is not None
        self._file.close()
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self._part, path)  # noqa: PTH105 - the same, and its failure names both

    def _close_and_remove(self) -> None:
        if self._file is None:
            return  # it could not be opened
        with contextlib.suppress(OSError):
            self._file.close()
        self._part.unlink(missing_ok=True)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StoreUnavailable(type(exc).__name__) from exc
