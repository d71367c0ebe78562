"""Where the bytes of a file come from, as the parent reads them for the child.

The object store's source is made by its owner (`parlance.runtime.store`); here are the seam, a
local file and a buffer in memory.
"""

import asyncio
import os
from pathlib import Path
from typing import Protocol


class ByteSource(Protocol):
    """Random access to an object that does not change."""

    @property
    def size_bytes(self) -> int: ...

    async def read(self, offset: int, length: int) -> bytes:
        """The bytes `offset .. offset + length`; always inside the object."""
        ...


class MemorySource:
    """A file that is in memory already."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size_bytes(self) -> int:
        return len(self._data)

    async def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


class FileSource:
    """A local file, opened for each read: no descriptor to forget."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size_bytes = path.stat().st_size

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    async def read(self, offset: int, length: int) -> bytes:
        return await asyncio.to_thread(self._read, offset, length)

    def _read(self, offset: int, length: int) -> bytes:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)
