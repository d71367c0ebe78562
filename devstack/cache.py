"""The tool cache: programs, models and recordings that are made or fetched once per machine.

It lies outside the work tree so that a second clone reuses it. Nothing in it is precious: deleting
the folder costs time only. Every entry is written under a temporary name and renamed, and
`open_lock` keeps two clones from making the same entry at once. Whoever makes an entry holds its
lock, so that what lies around under its temporary names is of a maker that was killed, and goes.
Running servers' state does not belong here; it lives in the folder that a caller of `open_*` gives.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator

from devstack import errors, progress

LOCK_POLL_SECONDS = 0.2


def find_cache_folder(*parts: str) -> pathlib.Path:
    """The cache folder, or a folder below it; made if missing. Raises errors.MissingTool."""
    # Empty means unset, as for XDG_CACHE_HOME; it would else mean the current folder.
    root = os.environ.get("PARLANCE_CACHE")
    if not root:
        root = f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/parlance"
    try:
        # Absolute, because builds run in folders of their own.
        folder = pathlib.Path(root, *parts).expanduser().absolute()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as exc:  # RuntimeError: a user without a home
        raise errors.MissingTool("a writable cache folder", f"set PARLANCE_CACHE ({exc})") from exc
    if not os.access(folder, os.W_OK):
        remedy = f"set PARLANCE_CACHE ({folder} is read-only)"
        raise errors.MissingTool("a writable cache folder", remedy)
    return folder


def format_key(contents: Iterable[bytes]) -> str:
    """A short key that changes when any of the contents changes."""
    digest = hashlib.sha256()
    for content in contents:
        digest.update(len(content).to_bytes(8, "big"))
        digest.update(content)
    return digest.hexdigest()[:16]


@contextlib.asynccontextmanager
async def open_lock(path: pathlib.Path, waiting_for: str | None = None) -> AsyncIterator[None]:
    """Hold an exclusive lock between processes; `waiting_for` is the progress line until then.

    The kernel drops the lock when its holder dies, so a killed build leaves nothing to clean up.
    """
    waiting_for = waiting_for or f"waiting for another process that holds {path}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock_file:
        async with progress.open_step(waiting_for):
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
    _remove_leftovers(final.parent, rf"\.{re.escape(final.name)}\.\w{{8}}")
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
    # mkdtemp makes the folder private; servers that run as another user read from the cache too.
    temporary.chmod(0o755)
    try:
        yield temporary
        temporary.rename(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def open_scratch_folder(entry: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder beside the entry that it serves; it vanishes when the block ends."""
    prefix = f".scratch.{entry.name}."
    _remove_leftovers(entry.parent, rf"{re.escape(prefix)}\w{{8}}")
    with tempfile.TemporaryDirectory(prefix=prefix, dir=entry.parent) as folder:
        yield pathlib.Path(folder)


@contextlib.contextmanager
def open_new_file(final: pathlib.Path) -> Iterator[pathlib.Path]:
    """A temporary path with the same suffix that becomes `final` when the block succeeds."""
    final.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(final.parent, rf"\.\d+\.{re.escape(final.name)}")
    temporary = final.with_name(f".{os.getpid()}.{final.name}")
    try:
        yield temporary
        temporary.rename(final)
    finally:
        temporary.unlink(missing_ok=True)


def _remove_leftovers(folder: pathlib.Path, pattern: str) -> None:
    """Remove what a killed maker of an entry has left; the caller holds the entry's lock."""
    for path in folder.iterdir():
        if re.fullmatch(pattern, path.name):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
