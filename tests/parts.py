"""The parts of the suite: what `make test` runs one after the other, the quick ones first.

    python -m tests.parts                 all of them
    python -m tests.parts unit operator   these

Each part is a pytest of its own, so a part that fails keeps no other from running; at the end there
is a line for each that says how long it took. Anything else is asked of pytest itself:
make test TESTS="tests/unit -k bus".
"""

import argparse
import fnmatch
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[1]
NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
COMPUTING = ("-n", "2", "--dist", "worksteal")
"""Two processes, for tests that keep a core busy each. CI has two cores."""
WAITING = ("-n", "4", "--dist", "worksteal")
"""Four, for tests that mostly wait for servers. Each process has servers of its own."""


@dataclass(frozen=True)
class Part:
    """A share of the test files."""

    name: str
    patterns: tuple[str, ...]
    """Of paths below tests/; `*` stands for any characters, also for slashes."""
    arguments: tuple[str, ...] = ()
    """For pytest."""
    starts_with: str = ""
    """Name of the file with the longest test, which the others can run beside."""

    def has(self, path: pathlib.Path) -> bool:
        """Whether a test file belongs to this part."""
        name = path.relative_to(ROOT / "tests").as_posix()
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.patterns)


PARTS = (
    Part("unit", ("unit/*", "repo/*"), COMPUTING),
    Part("runtime", ("integration/runtime/*", "integration/devstack/*"), WAITING),
    Part("api", ("integration/api_*",), WAITING, starts_with="test_openapi.py"),
    Part("operator", ("integration/operator/*",), WAITING),
    Part("worker", ("integration/worker/*", "integration/test_*"), WAITING),
    # File by file and in their order: each process has one stack, whose model begins as a stub.
    Part("e2e", ("e2e/*",), ("-n", "3", "--dist", "loadfile", "--no-loadscope-reorder")),
)


def list_files(part: Part) -> list[str]:
    """The test files of a part, relative to the root, in order."""
    files = sorted(path for path in (ROOT / "tests").rglob("test_*.py") if part.has(path))
    files.sort(key=lambda path: path.name != part.starts_with)
    return [str(path.relative_to(ROOT)) for path in files]


def main(arguments: Sequence[str]) -> int:
    """Run the parts that are named, else all; 1 if one of them failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.parts", description=__doc__)
    names = [part.name for part in PARTS]
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(names))
    asked = parser.parse_args(arguments).parts or names
    if unknown := set(asked) - set(names):
        parser.error(f"no such part: {', '.join(sorted(unknown))} (there are {', '.join(names)})")
    lines = []
    for part in (part for part in PARTS if part.name in asked):
        print(f"--- {part.name}", flush=True)
        started = time.monotonic()
        status = _run(part)
        seconds = time.monotonic() - started
        lines.append((status, f"{part.name:10} {seconds:5.0f} s   {'failed' if status else 'ok'}"))
    print("\n".join(["---", *(line for _, line in lines)]), flush=True)
    return int(any(status for status, _ in lines))


def _run(part: Part) -> int:
    command = [sys.executable, "-m", "pytest", "-q", *part.arguments, *list_files(part)]
    # Tests start some hundred processes; without bytecode each takes a second longer to import.
    environment = {name: value for name, value in os.environ.items() if name != NO_BYTECODE}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
