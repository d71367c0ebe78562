"""The object store: files below a folder, or S3 and its like, behind the same few methods.

The only module that imports obstore. Keys come from `contracts.objects`, never from a client.
Whatever returns without an error is durable: on `file://` the bytes and their folder entry are
flushed to disk before the call returns (obstore itself only renames).
"""

import asyncio
import errno
import hashlib
import os
import stat
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import (
    BaseError,
    InvalidPathError,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import GCSStore, LocalStore, S3Store
from parlance.contracts import objects
from parlance.runtime import local_files
from parlance.runtime.errors import InvalidKey, ObjectNotFound, StoreRefused, StoreUnavailable
from parlance.runtime.settings import StoreSettings
from prometheus_client import Counter, Histogram

_BYTES = Counter("parlance_store_bytes", "Bytes moved.", ["direction"])
_SECONDS = Histogram("parlance_store_seconds", "Time of one store operation.", ["operation"])

_PART_BYTES = 8 << 20
"""One part of a multipart upload: S3 wants at least 5 MiB; two in flight keep memory flat."""
_PARTS_IN_FLIGHT = 2
_READ_BYTES = 1 << 20
MAX_KEY_BYTES = 1024
"""What S3 takes; it refuses longer ones in a way that looks like a fault of its own."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object and what is known of it; `sha256` only where this process has just written it."""

    key: str
    size_bytes: int
    sha256: str | None = None
    modified_at: datetime | None = None


class Store:
    """Methods raise StoreUnavailable, ObjectNotFound or InvalidKey."""

    def __init__(self, backend: LocalStore | S3Store | GCSStore, *, folder: Path | None) -> None:
        self._backend = backend
        self._folder = folder

    async def put_stream(
        self, key: str, chunks: AsyncIterator[bytes], *, is_flushed: bool = True
    ) -> StoredObject:
        """Write a stream of unknown length in flat memory, hashing it on the way.

        The object appears whole or not at all. An error raised by `chunks` comes out unchanged
        and leaves nothing behind. With `is_flushed` False it is durable only after `flush`, which
        the caller may run beside something else.
        """
        with _SECONDS.labels("put").time():
            if self._folder is not None:
                stored = await self._put_local(self._folder, key, chunks)
            else:
                stored = await self._put_remote(key, chunks)
            if is_flushed:
                await self.flush(key)
        _BYTES.labels("in").inc(stored.size_bytes)
        return stored

    async def put_bytes(self, key: str, data: bytes) -> StoredObject:
        with _SECONDS.labels("put").time():
            async with self._writing(key):
                await self._run(key, lambda: obstore.put_async(self._backend, key, data))
            await self.flush(key)
        _BYTES.labels("in").inc(len(data))
        return StoredObject(key, len(data), hashlib.sha256(data).hexdigest())

    async def get_bytes(self, key: str) -> bytes:
        """A whole small object."""
        with _SECONDS.labels("get").time():
            result = await self._run(key, lambda: obstore.get_async(self._backend, key))
            data = bytes(await self._run(key, result.bytes_async))
        _BYTES.labels("out").inc(len(data))
        return data

    async def read_range(self, key: str, offset: int, length: int) -> bytes:
        """Bytes from `offset`; shorter at the end of the object, empty behind it."""
        if self._folder is not None:
            data = await self._read_file(key, offset, length)
        else:
            data = await self._read_remote(key, offset, length)
        _BYTES.labels("out").inc(len(data))
        return data

    async def stream(
        self, key: str, *, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes from `start` up to (not including) `end`, in blocks of about 1 MiB."""
        position = start
        while end is None or position < end:
            length = _READ_BYTES if end is None else min(_READ_BYTES, end - position)
            block = await self.read_range(key, position, length)
            if block:
                yield block
            if len(block) < length:
                return
            position += length

    async def head(self, key: str) -> StoredObject:
        meta = await self._run(key, lambda: obstore.head_async(self._backend, key))
        return StoredObject(key, int(meta["size"]), modified_at=meta["last_modified"])

    async def rename(self, source: str, target: str) -> None:
        """Move an object, replacing what is at the target."""
        with _SECONDS.labels("rename").time():
            async with self._writing(target):
                await self._run(source, lambda: obstore.rename_async(self._backend, source, target))
            await self.flush(target)

    async def delete(self, key: str) -> None:
        """Deleting what is not there is fine."""
        try:
            await self._run(key, lambda: obstore.delete_async(self._backend, key))
        except ObjectNotFound:
            return

    async def delete_prefix(self, prefix: str) -> int:
        """Delete everything below a prefix that ends with `/`; returns how many objects."""
        count = 0
        async for stored in self.list(prefix):
            await self.delete(stored.key)
            count += 1
        if self._folder is not None and count:
            await asyncio.to_thread(_remove_empty_folders, self._folder / prefix, self._folder)
        return count

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        """Objects below a prefix, in no particular order, fetched page by page."""
        pages = obstore.list(self._backend, prefix, chunk_size=500)
        try:
            async for page in pages:
                for meta in page:
                    yield StoredObject(
                        meta["path"], int(meta["size"]), modified_at=meta["last_modified"]
                    )
        except BaseError as exc:
            raise StoreUnavailable(f"list {prefix}") from exc

    async def presign(self, key: str, *, expires_seconds: int) -> str | None:
        """A link that anyone can read for a while; None where the store has no such thing."""
        if isinstance(self._backend, LocalStore):
            return None
        try:
            url = await obstore.sign_async(
                self._backend, "GET", key, timedelta(seconds=expires_seconds)
            )
        except NotSupportedError:
            return None
        except BaseError as exc:
            raise StoreUnavailable("presign") from exc
        return str(url)

    async def check(self) -> None:
        """Prove that the store answers. Raises StoreUnavailable."""
        try:
            await self.head(objects.PROBE_KEY)
        except ObjectNotFound:
            return

    async def _put_local(
        self, folder: Path, key: str, chunks: AsyncIterator[bytes]
    ) -> StoredObject:
        if not _is_safe(key):
            raise InvalidKey(key)
        # Below the staging prefix: what a crash leaves there, the janitor finds.
        part = folder / objects.STAGING_PREFIX / f"part-{uuid.uuid4().hex}"
        async with self._writing(key):
            size_bytes, sha256 = await local_files.write_stream(folder / key, part, chunks)
        return StoredObject(key, size_bytes, sha256)

    async def _put_remote(self, key: str, chunks: AsyncIterator[bytes]) -> StoredObject:
        hasher, size_bytes = hashlib.sha256(), 0
        failure: BaseException | None = None

        async def hashed() -> AsyncIterator[bytes]:
            nonlocal failure, size_bytes
            try:
                async for chunk in chunks:
                    hasher.update(chunk)
                    size_bytes += len(chunk)
                    yield chunk
            except BaseException as exc:
                failure = exc
                raise

        try:
            await self._run(
                key,
                lambda: obstore.put_async(
                    self._backend,
                    key,
                    hashed(),
                    use_multipart=True,
                    chunk_size=_PART_BYTES,
                    max_concurrency=_PARTS_IN_FLIGHT,
                ),
            )
        except StoreUnavailable:
            if failure is not None:
                raise failure from None
            raise
        return StoredObject(key, size_bytes, hasher.hexdigest())

    async def _run(self, key: str, action: Callable[[], Awaitable[T]]) -> T:
        if not _is_safe(key):
            raise InvalidKey(key)
        try:
            return await action()
        except (NotFoundError, FileNotFoundError) as exc:
            if await self._is_gone():
                raise StoreUnavailable("its folder is gone") from exc
            raise ObjectNotFound(key) from exc
        except (InvalidPathError, ValueError) as exc:
            raise InvalidKey(key) from exc
        except (PermissionDeniedError, UnauthenticatedError, PermissionError) as exc:
            raise StoreRefused(key) from exc
        except (BaseError, OSError) as exc:
            if await self._has_no_place(key):
                raise ObjectNotFound(key) from exc
            raise StoreUnavailable(type(exc).__name__) from exc

    @asynccontextmanager
    async def _writing(self, key: str) -> AsyncIterator[None]:
        """Raises InvalidKey where what failed could never have become an object of this key."""
        try:
            yield
        except (ObjectNotFound, StoreUnavailable) as exc:
            if await self._has_no_place(key):
                raise InvalidKey(key) from exc
            raise

    async def _has_no_place(self, key: str) -> bool:
        """Whether the folder cannot hold a file for this key. S3 takes some such keys."""
        if self._folder is None or await self._is_gone():
            return False
        return await asyncio.to_thread(_is_no_file, self._folder / key)

    async def _is_gone(self) -> bool:
        """Whether the whole folder is away: a disk that is not mounted says nothing of a key."""
        return self._folder is not None and not await asyncio.to_thread(self._folder.is_dir)

    async def _read_file(self, key: str, offset: int, length: int) -> bytes:
        assert self._folder is not None
        path = self._folder / key
        return await self._run(key, lambda: asyncio.to_thread(_read_local, path, offset, length))

    async def _read_remote(self, key: str, offset: int, length: int) -> bytes:
        """One request, unless there is nothing at `offset`: servers refuse that as a bad range,
        in words of their own, so the size decides."""
        if not length:
            return b""
        end = offset + length
        try:
            block = await self._run(
                key, lambda: obstore.get_range_async(self._backend, key, start=offset, end=end)
            )
        except StoreUnavailable:
            if offset < (await self.head(key)).size_bytes:
                raise
            return b""
        return bytes(block)

    async def flush(self, key: str) -> None:
        """Make an object and its folder entry durable; remote stores are by themselves."""
        folder = self._folder
        if folder is not None:
            await self._run(key, lambda: asyncio.to_thread(_flush_to_disk, folder / key, folder))


@asynccontextmanager
async def open_store(settings: StoreSettings) -> AsyncIterator[Store]:
    """The store of `settings.store_url`."""
    url = urlsplit(settings.store_url)
    if url.scheme == "file":
        folder = Path(unquote(url.path))
        folder.mkdir(parents=True, exist_ok=True)
        yield Store(LocalStore(folder, mkdir=True), folder=folder)
        return
    yield Store(_open_remote(settings), folder=None)


def _open_remote(settings: StoreSettings) -> S3Store | GCSStore:
    # obstore types its options as closed dictionaries; ours are assembled at run time.
    client: Any = {"timeout": timedelta(seconds=settings.store_timeout_seconds)}
    if settings.store_url.startswith("gs://"):
        return GCSStore.from_url(settings.store_url, client_options=client)
    if not settings.store_url.startswith("s3://"):
        raise InvalidKey(settings.store_url)
    options: dict[str, Any] = {"region": settings.store_region}
    if settings.store_endpoint:
        options["endpoint"] = settings.store_endpoint
        client["allow_http"] = settings.store_endpoint.startswith("http://")
    if settings.store_access_key and settings.store_secret_key:
        options["access_key_id"] = settings.store_access_key.get_secret_value()
        options["secret_access_key"] = settings.store_secret_key.get_secret_value()
    return S3Store.from_url(settings.store_url, client_options=client, **options)


def _is_safe(key: str) -> bool:
    """Keys may come from a CallJob written by hand: none may leave the store's folder."""
    parts = key.rstrip("/").split("/")
    is_short = len(key.encode()) <= MAX_KEY_BYTES
    return is_short and "\0" not in key and not any(part in ("", ".", "..") for part in parts)


def _is_no_file(path: Path) -> bool:
    """Whether no file can be here as things are: a folder is, a file is above it, or it is too
    long. The disk is asked, since obstore tells such an error from others only in its text."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError as exc:
        return exc.errno in (errno.ENOTDIR, errno.ENAMETOOLONG)


def _read_local(path: Path, offset: int, length: int) -> bytes:
    with path.open("rb") as file:
        return os.pread(file.fileno(), length, offset)


def _flush_to_disk(path: Path, root: Path) -> None:
    """Flush the file and every folder entry on the way to it."""
    for entry in (path, *path.parents):
        descriptor = os.open(entry, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if entry == root:
            return


def _remove_empty_folders(folder: Path, root: Path) -> None:
    for child in sorted(folder.rglob("*"), reverse=True):
        if child.is_dir():
            _remove_if_empty(child)
    while folder != root and _remove_if_empty(folder):
        folder = folder.parent


def _remove_if_empty(folder: Path) -> bool:
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def age_of(stored: StoredObject, now: datetime | None = None) -> timedelta:
    """Time since the object was written; zero where the store does not tell."""
    if stored.modified_at is None:
        return timedelta(0)
    return (now or datetime.now(UTC)) - stored.modified_at
