"""One server process: in a group of its own, logged to a file, ended for sure, killed by tests.

Every `open_*` of this package that runs a server runs it through `open_server`. What a server is
and how one tells that it is ready stays with the module that knows the server. Programs that end by
themselves and take long or write files, such as installers, run through `open_command` or `run`.
"""

import asyncio
import contextlib
import dataclasses
import os
import pathlib
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import IO

from devstack import errors, guard, waiting

STOP_TIMEOUT_SECONDS = 10.0
START_TIMEOUT_SECONDS = 60.0
# A program starts only when it reads a line, that is, once the guard knows its process group. If
# we die before that, the pipe closes, `read` fails and nothing is left behind.
GATE = ("/bin/sh", "-c", 'read -r _ && exec "$@" </dev/null', "gate")

IsReady = Callable[[], Awaitable[bool]]


@dataclasses.dataclass(frozen=True)
class Command:
    """How to start a server; a restart uses the same."""

    name: str
    argv: Sequence[str]
    log_path: pathlib.Path
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Added to our own environment, which goes along for the sake of proxies and CA files."""
    folder: pathlib.Path | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_seconds: float = STOP_TIMEOUT_SECONDS
    start_timeout_seconds: float = START_TIMEOUT_SECONDS


async def _is_ready_at_once() -> bool:
    return True


class ServerProcess:
    """A started server with the handles that fault tests need."""

    def __init__(self, command: Command, is_ready: IsReady = _is_ready_at_once) -> None:
        self.command = command
        self._is_ready = is_ready
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id, which is the process group's id too."""
        assert self._process is not None, f"{self.command.name} has not been started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Start the server and wait until it says itself that it is ready."""
        assert not self.is_running, f"{self.command.name} runs already"
        # What a test has killed behind our back still has to be taken off the guard's list.
        await self.stop()
        self._spawn()
        try:
            await waiting.wait_until(
                self._is_ready_or_died,
                self.command.start_timeout_seconds,
                f"{self.command.name} is ready",
            )
        except errors.NotInTime as late:
            tail = errors.format_log_tail(self.command.log_path)
            raise errors.NotInTime(late.what, late.timeout_seconds, tail) from None

    async def stop(self) -> None:
        """Ask the server to end, and kill it with all its children if it does not in time."""
        await self._end(self.command.stop_signal, self.command.stop_timeout_seconds)

    async def kill(self) -> None:
        """SIGKILL, as a crash would, and wait until it and its children are gone."""
        await self._end(signal.SIGKILL, STOP_TIMEOUT_SECONDS)

    async def restart(self, environment: Mapping[str, str] | None = None) -> None:
        """Start again with the same ports and folder; ends the server first if it still runs.

        `environment` is added to the server's from now on.
        """
        await self.stop()
        self.command = dataclasses.replace(
            self.command, environment={**self.command.environment, **(environment or {})}
        )
        await self.start()

    async def pause(self) -> None:
        """SIGSTOP: the server is there but answers nothing, as on a stalled machine.

        Returns once every thread has stopped: one that runs on another core may answer until then.
        """
        family = guard.list_family(self.pid)
        guard.send_signal(family, signal.SIGSTOP)
        await waiting.wait_until(
            lambda: guard.are_stopped(family),
            STOP_TIMEOUT_SECONDS,
            f"every thread of {self.command.name} has stopped",
        )

    def resume(self) -> None:
        """SIGCONT, after `pause`."""
        guard.send_signal(guard.list_family(self.pid), signal.SIGCONT)

    def _spawn(self) -> None:
        command = self.command
        command.log_path.parent.mkdir(parents=True, exist_ok=True)
        with command.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*GATE, *command.argv],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=command.folder,
                env={**os.environ, **command.environment},
                start_new_session=True,
            )
        guard.find_guard().watch(self._process.pid, command.stop_signal)
        assert self._process.stdin is not None
        with self._process.stdin as gate:
            gate.write(b"\n")

    async def _is_ready_or_died(self) -> bool:
        assert self._process is not None
        if (status := self._process.poll()) is not None:
            self._forget()
            raise errors.ServerDied(self.command.name, status, self.command.log_path)
        return await self._is_ready()

    async def _end(self, number: signal.Signals, timeout_seconds: float) -> None:
        """Signal the leader; whatever outlives it, be it in another session, is killed."""
        if self._process is None:
            return
        leader = self._process
        family = guard.list_family(leader.pid)
        guard.send_signal([leader.pid], number)
        # A paused process would keep the signal for later.
        guard.send_signal(family, signal.SIGCONT)
        with contextlib.suppress(errors.NotInTime):
            await waiting.wait_until(
                lambda: leader.poll() is not None, timeout_seconds, "", poll_seconds=0.02
            )
        # Once more, for those that it started meanwhile.
        family |= guard.list_family(leader.pid)
        guard.send_signal(family, signal.SIGKILL)
        await waiting.wait_until(
            lambda: leader.poll() is not None and not guard.list_living(family),
            STOP_TIMEOUT_SECONDS,
            f"{self.command.name} has ended after SIGKILL",
        )
        self._forget()

    def _forget(self) -> None:
        guard.find_guard().forget(self.pid)
        self._process = None


@contextlib.asynccontextmanager
async def open_server(
    command: Command, is_ready: IsReady = _is_ready_at_once
) -> AsyncIterator[ServerProcess]:
    """A server that is ready when the block begins and gone when it ends."""
    server = ServerProcess(command, is_ready)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


@contextlib.asynccontextmanager
async def open_command(
    argv: Sequence[str],
    *,
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
    folder: pathlib.Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that ends by itself, but no later than the block, and no later than we do.

    Its input is empty; `environment` is added to our own.
    """
    started = await asyncio.create_subprocess_exec(
        *GATE,
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )
    # Killed and not asked: our lock is free when we are gone, and its next holder must not meet an
    # installer that is still ending in the same folder.
    guard.find_guard().watch(started.pid, signal.SIGKILL)
    try:
        assert started.stdin is not None
        started.stdin.write(b"\n")
        started.stdin.close()
        yield started
    finally:
        family = guard.list_family(started.pid)
        guard.send_signal(family, signal.SIGKILL)
        await started.wait()
        await waiting.wait_until(
            lambda: not guard.list_living(family),
            STOP_TIMEOUT_SECONDS,
            f"{argv[0]} has ended after SIGKILL",
        )
        guard.find_guard().forget(started.pid)


async def run(
    argv: Sequence[str],
    log_path: pathlib.Path,
    *,
    folder: pathlib.Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a program to its end; its log stays only if it fails. Raises errors.CommandFailed."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log:
        async with open_command(
            argv, stdout=log, stderr=log, folder=folder, environment=environment
        ) as started:
            status = await started.wait()
    if status != 0:
        raise errors.CommandFailed(argv, status, log_path)
    log_path.unlink()
