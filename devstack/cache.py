"""The tool cache: programs, models and recordings that are made or fetched once per machine.

It lies outside the work tree so that a second clone reuses it. Nothing in it is precious: deleting
the folder costs time only. Every entry is written under a temporary name and renamed, and
`open_lock` keeps two clones from making the same entry at once. Running servers' state does not
belong here; it lives in the folder that a caller of `open_*` gives.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator

from devstack import progress

LOCK_POLL_SECONDS = 0.2


def find_cache_folder(*parts: str) -> pathlib.Path:
    """The cache folder, or a folder below it; made if missing."""
    root = os.environ.get("PARLANCE_CACHE")
    if root is None:
        base = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
        root = str(pathlib.Path(base) / "parlance")
    folder = pathlib.Path(root, *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def format_key(contents: Iterable[bytes]) -> str:
    """A short key that changes when any of the contents changes."""
    digest = hashlib.sha256()
    for content in contents:
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()[:16]


@contextlib.asynccontextmanager
async def open_lock(path: pathlib.Path) -> AsyncIterator[None]:
    """Hold an exclusive lock between processes.

    The kernel drops the lock when its holder dies, so a killed build leaves nothing to clean up.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock_file:
        async with progress.open_step(f"waiting for another process that holds {path}"):
            while not _try_lock(lock_file.fileno()):
                await asyncio.sleep(LOCK_POLL_SECONDS)
        yield


def is_locked(path: pathlib.Path) -> bool:
    """Whether another process holds the lock right now."""
    if not path.exists():
        return False
    with path.open("r+") as lock_file:
        return not _try_lock(lock_file.fileno())


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def open_new_folder(final: pathlib.Path) -> Iterator[pathlib.Path]:
    """A temporary folder that becomes `final` when the block succeeds, and else vanishes."""
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
    # mkdtemp makes the folder private; servers that run as another user read from the cache too.
    temporary.chmod(0o755)
    try:
        yield temporary
        temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def open_scratch_folder(parent: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder on the same disk as `parent`'s entries that vanishes when the block ends."""
    with tempfile.TemporaryDirectory(prefix=".scratch.", dir=parent) as folder:
        yield pathlib.Path(folder)


@contextlib.contextmanager
def open_new_file(final: pathlib.Path) -> Iterator[pathlib.Path]:
    """A temporary path with the same suffix that becomes `final` when the block succeeds."""
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{os.getpid()}.{final.name}")
    try:
        yield temporary
        temporary.rename(final)
    finally:
        temporary.unlink(missing_ok=True)
