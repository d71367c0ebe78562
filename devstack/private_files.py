"""Files with secrets: readable by us alone, and whole from the moment that they exist."""

import pathlib


def write(path: pathlib.Path, text: str) -> None:
    """Replaces what is there."""
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(text)
    unfinished.rename(path)
