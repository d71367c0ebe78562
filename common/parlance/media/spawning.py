"""How a sandboxed child comes to be: a fresh interpreter, or a fork of a prepared one.

Loading FFmpeg costs a tenth of a second of CPU, as much as decoding a minute of sound. A process
that handles many files opens one `Template` (composition root) and hands it to `probe` and
`open_decoder`; without one, each file has an interpreter of its own.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from parlance.media import wire
from parlance.media.errors import DecoderLost

_ROOT = str(Path(__file__).resolve().parents[2])
# -I: no environment, no user site, no current folder. The one folder it needs is named.
_BOOT = "import sys; sys.path.insert(0, sys.argv.pop()); from parlance.media.child import main; "
_COMMAND = (sys.executable, "-I", "-c", f"{_BOOT}main.main()")
_MAX_REPORT_BYTES = 64

_NOT_SET_UP = 1


class JobProcess(Protocol):
    """A child with one job."""

    def kill(self) -> None:
        """Raises ProcessLookupError when it has ended."""
        ...

    async def wait(self) -> int:
        """Exit status; negative for a signal."""
        ...

    def release(self) -> None:
        """Call last, when it has ended or was killed."""
        ...


def abandon(process: JobProcess) -> None:
    """Kill it and let it go at once: for a child that nobody will use or wait for."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.release()


class Spawner(Protocol):
    @property
    def allows_unsandboxed(self) -> bool:
        """Whether its children may read a file although the kernel refused them a protection."""
        ...

    async def spawn(self, theirs: socket.socket) -> JobProcess:
        """Start a child that reads its job from `theirs`; the caller closes its copy of it."""
        ...


class FreshSpawner:
    """An interpreter for each file."""

    allows_unsandboxed = False

    async def spawn(self, theirs: socket.socket) -> JobProcess:
        return _FreshProcess(await _start_interpreter("job", theirs.fileno()))


class _FreshProcess:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.kill = process.kill
        self.wait = process.wait

    def release(self) -> None:
        pass


async def _start_interpreter(role: str, descriptor: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *_COMMAND,
        role,
        str(descriptor),
        str(os.getpid()),
        _ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        pass_fds=(descriptor,),
        start_new_session=True,  # Ctrl-C is for the parent, which drains
        env={},
    )


class Template:
    """A prepared interpreter that forks a child for each file; started again if it dies.

    It never sees a byte of a file. Children are killed through descriptors of the process, never
    by a number that may have been given to another one.
    """

    def __init__(self, max_running: int | None = None, *, allows_unsandboxed: bool = False) -> None:
        self.allows_unsandboxed = allows_unsandboxed
        self._link: _Link | None = None
        self._starting = asyncio.Lock()
        self._places = None if max_running is None else asyncio.Semaphore(max_running)

    async def spawn(self, theirs: socket.socket) -> JobProcess:
        if self._places is None:
            return await self._spawn(theirs)
        await self._places.acquire()
        try:
            return _Placed(await self._spawn(theirs), self._places)
        except BaseException:
            self._places.release()
            raise

    async def start(self) -> None:
        """Load it now, so that the first file does not wait."""
        async with self._starting:
            await self._replace()

    async def stop(self) -> None:
        """End it, and with it all children that still run."""
        if self._link is not None:
            await self._link.close()
            self._link = None

    async def _spawn(self, theirs: socket.socket) -> JobProcess:
        try:
            return await (await self._get_link()).spawn(theirs)
        except ConnectionError:  # if it died since the last file, the next call starts it again
            return await FreshSpawner().spawn(theirs)

    async def _get_link(self) -> "_Link":
        async with self._starting:
            if self._link is None or self._link.is_broken:
                await self._replace()
            assert self._link is not None
            return self._link

    async def _replace(self) -> None:
        await self.stop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                process = await _start_interpreter("template", theirs.fileno())
        except BaseException:
            ours.close()
            raise
        self._link = _Link(process, ours)


@contextlib.asynccontextmanager
async def open_template(
    max_running: int | None = None, *, allows_unsandboxed: bool = False
) -> AsyncIterator[Template]:
    """A running template; it is gone when the block is left.

    A child takes about 12 MB of its own, so a process that is asked for many at once bounds them
    with `max_running`; the others wait, which does not count as time of the probe.
    """
    template = Template(max_running, allows_unsandboxed=allows_unsandboxed)
    await template.start()
    try:
        yield template
    finally:
        await template.stop()


class _Placed:
    """A child that gives its place back."""

    def __init__(self, process: JobProcess, places: asyncio.Semaphore) -> None:
        self._process = process
        self._places = places
        self.kill = process.kill
        self.wait = process.wait

    def release(self) -> None:
        self._process.release()
        self._places.release()


class _Link:
    """The connection to one template process."""

    def __init__(self, process: asyncio.subprocess.Process, control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._control.setblocking(False)
        self._asked: deque[asyncio.Future[ForkedProcess]] = deque()
        self._running: dict[int, asyncio.Future[int]] = {}
        self.is_broken = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(control.fileno(), self._read_reports)

    async def spawn(self, theirs: socket.socket) -> JobProcess:
        """Raises ConnectionError when the template cannot take it."""
        started: asyncio.Future[ForkedProcess] = self._loop.create_future()
        try:
            socket.send_fds(self._control, [b"J"], [theirs.fileno()])
        except BlockingIOError as error:  # hundreds wait to be forked; that is not its end
            raise ConnectionResetError("the template is busy") from error
        except OSError as error:
            self._break()
            raise ConnectionResetError("the template is gone") from error
        self._asked.append(started)
        try:
            return await started
        except asyncio.CancelledError:
            # The child may have come just before the cancellation; then nobody else knows of it.
            if started.done() and not started.cancelled() and started.exception() is None:
                abandon(started.result())
            raise

    async def close(self) -> None:
        self._break()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    def _read_reports(self) -> None:
        while not self.is_broken:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._control, _MAX_REPORT_BYTES, 1)
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            if data:
                kind, pid, status = wire.REPORT.unpack(data)
                self._note(kind, pid, status, descriptors)
            else:
                self._break()

    def _note(self, kind: bytes, pid: int, status: int, descriptors: list[int]) -> None:
        if kind == wire.ENDED:
            self._running.pop(pid).set_result(status)
            return
        started = self._asked.popleft()
        if kind == wire.STARTED:
            ended = self._running[pid] = self._loop.create_future()
            forked = ForkedProcess(descriptors[0], ended)
            if started.cancelled():  # nobody waits for it any more; it may have ended by itself
                abandon(forked)
            else:
                started.set_result(forked)
        elif not started.cancelled():
            started.set_exception(DecoderLost(_NOT_SET_UP))

    def _break(self) -> None:
        """The template is gone; the kernel kills its children with it."""
        if self.is_broken:
            return
        self.is_broken = True
        self._loop.remove_reader(self._control.fileno())
        self._control.close()
        for started in self._asked:
            if not started.done():
                started.set_exception(ConnectionResetError("the template is gone"))
        for ended in self._running.values():
            ended.set_result(-signal.SIGKILL)


class ForkedProcess:
    """A child of the template, held by a descriptor."""

    def __init__(self, descriptor: int, ended: "asyncio.Future[int]") -> None:
        self._descriptor = descriptor
        self._ended = ended

    def kill(self) -> None:
        signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    def release(self) -> None:
        os.close(self._descriptor)
