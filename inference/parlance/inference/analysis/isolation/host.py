"""The worker's end of the analysis process: starts it, talks to it, kills it.

Moves frames and nothing else; what they mean is `pipeline`'s business.
"""

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process

from parlance.inference.analysis.isolation import frames
from parlance.inference.analysis.isolation.frames import Frame

_READ_BYTES = 1 << 18


class ChildLost(Exception):
    """The analysis process is gone, or makes no sense any more."""


class Child:
    """A running analysis process. One call at a time."""

    def __init__(self, process: Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process has no pipes")
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._arrived = bytearray()
        """Bytes that were read and are no frame yet."""

    @property
    def pid(self) -> int:
        return self._process.pid

    async def send(self, data: bytes) -> None:
        """Raises ChildLost."""
        try:
            self._stdin.write(data)
            await self._stdin.drain()
        except (OSError, RuntimeError) as exc:
            raise ChildLost("the analysis process does not read") from exc

    async def receive(self) -> Frame:
        """Raises ChildLost."""
        while (frame := self.take()) is None:
            try:
                data = await self._stdout.read(_READ_BYTES)
            except OSError as exc:
                raise ChildLost("the analysis process has ended") from exc
            if not data:
                raise ChildLost("the analysis process has ended")
            self._arrived += data
        return frame

    def take(self) -> Frame | None:
        """A frame that has arrived already; mostly several come at once. Raises ChildLost."""
        try:
            frame, length = frames.parse_frame(self._arrived)
        except frames.BrokenStream as exc:
            raise ChildLost("the analysis process makes no sense") from exc
        del self._arrived[:length]
        return frame

    async def kill(self) -> None:
        """End it now and reap it; harmless on one that has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._stdin.close()
        await self._process.wait()


async def start_child(profile: str, memory_mib: int) -> Child:
    """Start an analysis process. Raises ChildLost."""
    # Not the worker's environment: its secrets are no business of text analysis. A fixed hash
    # seed makes the order of sets, and so every result, the same in every process.
    environment = {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONHASHSEED": "0",
        # Each thread of the library under numpy would take 40 MB of the address space.
        "OPENBLAS_NUM_THREADS": "1",
    }
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "parlance.inference.analysis.isolation.child",
            profile,
            str(memory_mib),
            stdin=PIPE,
            stdout=PIPE,
            env=environment,
        )
    except OSError as exc:
        raise ChildLost("the analysis process does not start") from exc
    return Child(process)
