"""The audio of a call as something to read from: an object of the store, opened.

The bytes are checked against the SHA-256 of the job while they are decoded, so the file is not
read twice: decoders read nearly front to back, and only what they skipped is read at the end.
"""

import hashlib
from dataclasses import dataclass

from parlance.contracts import objects
from parlance.contracts.ids import CompanySlug
from parlance.contracts.problems import Problem
from parlance.inference.calls.errors import InputRejected
from parlance.inference.engine import waits
from parlance.inference.engine.patience import Patience
from parlance.media import sniff
from parlance.media.errors import EmptyFile, UnsupportedMedia
from parlance.media.sniff import Container
from parlance.runtime.store import Store

_TAIL_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Audio:
    """An object, ready to be decoded."""

    key: str
    container: Container
    source: "CheckedSource"


async def open_audio(store: Store, key: str, company: CompanySlug, patience: Patience) -> Audio:
    """Find the object and see what it is.

    Raises ObjectNotFound, InputRejected, MediaError and what the store raises.
    """
    if not objects.is_of_company(key, company):
        # The CRD says so too; here it protects the company whose audio it would be.
        raise InputRejected(
            Problem.INPUT_NOT_FOUND, "The object does not belong to the company of the job."
        )
    size_bytes = (await patience.persist(waits.STORE, lambda: store.head(key))).size_bytes
    if size_bytes == 0:
        raise EmptyFile
    source = CheckedSource(store, key, size_bytes, patience)
    head = await source.read(0, min(size_bytes, sniff.HEAD_BYTES))
    container = sniff.sniff(head)
    if container is None:
        raise UnsupportedMedia(sniff.describe(head) or "")
    return Audio(key, container, source)


class CheckedSource:
    """A `media.ByteSource` over an object that hashes what is read, as far as it is in order."""

    def __init__(self, store: Store, key: str, size_bytes: int, patience: Patience) -> None:
        self._store = store
        self._key = key
        self._size_bytes = size_bytes
        self._patience = patience
        self._hasher = hashlib.sha256()
        self._hashed_bytes = 0

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    async def read(self, offset: int, length: int) -> bytes:
        data = await self._patience.persist(
            waits.STORE, lambda: self._store.read_range(self._key, offset, length)
        )
        new_from = self._hashed_bytes - offset
        if 0 <= new_from < len(data):
            self._hasher.update(memoryview(data)[new_from:])
            self._hashed_bytes = offset + len(data)
        return data

    async def verify(self, expected_sha256: str | None) -> None:
        """Raise InputRejected when the object is not the one the job was made for."""
        if expected_sha256 is None:
            return
        while self._hashed_bytes < self._size_bytes:
            if not await self.read(self._hashed_bytes, _TAIL_READ_BYTES):
                break
        if self._hasher.hexdigest() != expected_sha256.lower():
            raise InputRejected(
                Problem.INPUT_NOT_FOUND,
                "The object's SHA-256 is not the one in the job: it was replaced or damaged.",
            )
