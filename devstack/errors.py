"""What can go wrong while real servers are built, started and ended.

DevstackError
├── MissingTool        a program or package that nobody but the user can install
├── CommandFailed      a build or set-up command ended with an error
├── KubectlFailed      kubectl refused; carries its words
├── ServerDied         a server ended although nobody asked it to
└── NotInTime          a condition did not come true
"""

import pathlib
from collections.abc import Sequence

LOG_TAIL_LINES = 30


def format_log_tail(path: pathlib.Path, lines: int = LOG_TAIL_LINES) -> str:
    """The last lines of a log file, indented, or a word saying that there is none."""
    if not path.exists():
        return f"  ({path} does not exist)"
    tail = path.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join([f"  the end of {path}:", *(f"  | {line}" for line in tail)])


class DevstackError(Exception):
    """Anything that keeps a part from running."""


class MissingTool(DevstackError):
    """A program or package is missing; the text says how to get it."""

    def __init__(self, name: str, remedy: str) -> None:
        super().__init__(f"{name} is missing: {remedy}")
        self.name = name
        self.remedy = remedy


class CommandFailed(DevstackError):
    """A command ended with a non-zero status."""

    def __init__(self, argv: Sequence[str], status: int, log_path: pathlib.Path) -> None:
        command = " ".join(argv)
        super().__init__(f"`{command}` ended with {status}\n{format_log_tail(log_path)}")
        self.argv = tuple(argv)
        self.status = status
        self.log_path = log_path


class KubectlFailed(DevstackError):
    """kubectl ended with an error."""

    def __init__(self, words: Sequence[str], problem: str) -> None:
        super().__init__(f"`kubectl {' '.join(words)}`: {problem.strip()}")
        self.problem = problem


class ServerDied(DevstackError):
    """A server ended by itself."""

    def __init__(self, name: str, status: int, log_path: pathlib.Path) -> None:
        super().__init__(f"{name} ended with {status}\n{format_log_tail(log_path)}")
        self.name = name
        self.status = status
        self.log_path = log_path


class NotInTime(DevstackError):
    """A condition did not come true within its time."""

    def __init__(self, what: str, timeout_seconds: float, hint: str = "") -> None:
        super().__init__(f"{what}: not within {timeout_seconds:g} s\n{hint}".rstrip())
        self.what = what
        self.timeout_seconds = timeout_seconds
