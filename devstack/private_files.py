"""Files with secrets: readable by us alone, and whole from the moment that they exist."""

import contextlib
import fcntl
import pathlib
from collections.abc import Iterator


def write(path: pathlib.Path, text: str) -> None:
    """Replaces what is there."""
    with open_locked(path, text):
        pass


@contextlib.contextmanager
def open_locked(path: pathlib.Path, text: str) -> Iterator[None]:
    """The same, and a lock on the file from before it exists until the block ends."""
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    with unfinished.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(text)
        file.flush()
        unfinished.rename(path)
        yield
