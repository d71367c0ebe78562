"""`make up` and `make down`: a stack that outlives the command that started it.

A detached supervisor process owns the stack and holds a lock; whoever wants to know whether it runs
tries the lock. `up` takes the lock and hands it to the supervisor that it starts. A flock belongs
to the open file, so it is never free in between, and it ends with the supervisor. When that dies,
however it dies, its servers die with it.
"""

import asyncio
import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import IO

from devstack import errors, guard, private_files, progress, stack, waiting

START_TIMEOUT_SECONDS = 1800.0
"""The first start builds the control plane, which takes minutes."""
STOP_TIMEOUT_SECONDS = 60.0
PROBE_SECONDS = 0.02
"""How soon a lock is tried again that somebody else was only looking at."""
PROGRAM = (sys.executable, "-m", "devstack")


class RunsAlready(errors.DevstackError):
    """Two supervisors cannot share one folder."""

    def __init__(self) -> None:
        super().__init__("a stack runs here already: `make down` ends it")


@dataclasses.dataclass(frozen=True)
class State:
    """What others need to use a running stack."""

    url: str
    api_key: str
    admin_email: str
    admin_password: str
    admin_user_id: str
    kubeconfig: str
    kubectl: str
    namespace: str
    database_url: str
    pid: int


@dataclasses.dataclass(frozen=True)
class Place:
    """The files of one supervised stack."""

    local: pathlib.Path

    @property
    def folder(self) -> pathlib.Path:
        return self.local / "stack"

    @property
    def lock(self) -> pathlib.Path:
        return self.local / "stack.lock"

    @property
    def state(self) -> pathlib.Path:
        return self.local / "stack.json"

    @property
    def environment_file(self) -> pathlib.Path:
        return self.local / "parlance.env"

    @property
    def programs(self) -> pathlib.Path:
        """For the PATH of a shell: kubectl."""
        return self.local / "bin"

    @property
    def log(self) -> pathlib.Path:
        return self.local / "stack.log"


def read_state(place: Place) -> State | None:
    """The running stack, or None when none runs or it is not ready yet."""
    with contextlib.suppress(FileNotFoundError), place.state.open() as file:
        # A supervisor that was killed leaves its file behind, but not the lock on it.
        if _is_held(file):
            return State(**json.load(file))
    return None


async def up(
    place: Place,
    *,
    use_current_cluster: bool,
    program: Sequence[str] = PROGRAM,
    start_timeout_seconds: float = START_TIMEOUT_SECONDS,
    stop_timeout_seconds: float = STOP_TIMEOUT_SECONDS,
) -> State:
    """Start a stack that stays, or find the one that runs.

    `program` has the command `serve`; tests give a stand-in.
    """
    if (state := read_state(place)) is not None:
        return state
    place.local.mkdir(parents=True, exist_ok=True)
    while True:
        started = await _start(place, program, use_current_cluster=use_current_cluster)
        try:
            state = await _wait_for_state(place, started, start_timeout_seconds)
        except BaseException:
            # Nobody would know of a stack that comes up after its command was given up.
            if started is not None:
                await _end(started, stop_timeout_seconds)
            raise
        if state is not None:
            return state


async def down(place: Place) -> bool:
    """End the running stack, be it still starting; False when none runs."""
    if not _is_locked(place.lock):
        return False
    await waiting.wait_until(
        lambda: not _is_locked(place.lock) or _find_supervisor(place),
        STOP_TIMEOUT_SECONDS,
        "the stack can be told to end",
    )
    if (pid := _find_supervisor(place)) is None:
        return True
    guard.send_signal([pid], signal.SIGTERM)
    # Not only the lock: the next supervisor may have it before we see that it was free.
    await waiting.wait_until(
        lambda: not _is_locked(place.lock) or not guard.list_living([pid]),
        STOP_TIMEOUT_SECONDS,
        "the stack has ended",
    )
    return True


async def serve(
    place: Place,
    opening: contextlib.AbstractAsyncContextManager[State],
    *,
    lock_fd: int | None = None,
) -> None:
    """The supervisor itself: run the stack that `opening` starts until cancelled.

    `lock_fd` is the lock as `up` hands it over; without one we take it. Raises RunsAlready.
    """
    lock = await _take_lock(place) if lock_fd is None else _adopt_lock(lock_fd)
    if lock is None:
        raise RunsAlready
    with lock:
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        async with opening as state:
            with _open_state(place, state):
                await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def open_stack(place: Place, options: stack.Options) -> AsyncIterator[State]:
    """What `serve` usually runs."""
    async with stack.open_stack(place.folder, options) as running:
        yield describe(running)


def describe(running: stack.Stack) -> State:
    """What others need to know of a stack of this process."""
    credentials = running.credentials
    return State(
        url=running.url,
        api_key=credentials.api_key,
        admin_email=credentials.admin_email,
        admin_password=credentials.admin_password,
        admin_user_id=credentials.admin_user_id,
        kubeconfig=running.cluster.kubeconfig,
        kubectl=str(running.cluster.kubectl),
        namespace=running.namespace,
        database_url=running.environment["PARLANCE_DATABASE_URL"],
        pid=os.getpid(),
    )


@contextlib.contextmanager
def _open_state(place: Place, state: State) -> Iterator[None]:
    """Others can find the stack as long as the block runs."""
    place.programs.mkdir(exist_ok=True)
    kubectl = place.programs / "kubectl"
    kubectl.unlink(missing_ok=True)
    kubectl.symlink_to(state.kubectl)
    try:
        private_files.write(place.environment_file, format_environment(state))
        with private_files.open_locked(place.state, json.dumps(dataclasses.asdict(state))):
            yield
    finally:
        _remove_state(place)


def format_environment(state: State) -> str:
    """What a shell sources: quoted only where it must be, for readers of plain NAME=VALUE lines."""
    values = {
        "PARLANCE_URL": state.url,
        "PARLANCE_API_KEY": state.api_key,
        "KUBECONFIG": state.kubeconfig,
        "PARLANCE_DATABASE_URL": state.database_url,
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _remove_state(place: Place) -> None:
    place.state.unlink(missing_ok=True)
    place.environment_file.unlink(missing_ok=True)


async def _start(
    place: Place, program: Sequence[str], *, use_current_cluster: bool
) -> subprocess.Popen[bytes] | None:
    """The new supervisor; None when there is one already."""
    lock = await _take_lock(place)
    if lock is None:
        return None
    # The supervisor goes on holding the lock when we close our end.
    with lock, place.log.open("wb") as log:
        words = ["serve", "--lock-fd", str(lock.fileno())]
        words += ["--current-cluster"] if use_current_cluster else []
        return subprocess.Popen(
            [*program, *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=stack.ROOT,
            start_new_session=True,
            pass_fds=[lock.fileno()],
        )


async def _wait_for_state(
    place: Place, started: subprocess.Popen[bytes] | None, start_timeout_seconds: float
) -> State | None:
    """The stack once it is up; None when a supervisor that is not ours ended before that."""
    state: State | None = None

    def is_decided() -> bool:
        nonlocal state
        # The supervisor's progress is the user's progress.
        sys.stderr.write(log.read())
        if started is not None and (status := started.poll()) is not None:
            raise errors.ServerDied("the stack", status, place.log)
        state = read_state(place)
        return state is not None or (started is None and not _is_locked(place.lock))

    place.log.touch()
    with place.log.open() as log:
        await waiting.wait_until(is_decided, start_timeout_seconds, "the stack is up")
    return state


async def _end(started: subprocess.Popen[bytes], stop_timeout_seconds: float) -> None:
    """End the supervisor, and with it what it has started so far."""
    started.terminate()
    async with progress.open_step("ending what has been started"):
        try:
            await _wait_for_end(started, stop_timeout_seconds)
        except errors.NotInTime:
            started.kill()
            await _wait_for_end(started, STOP_TIMEOUT_SECONDS)


async def _wait_for_end(started: subprocess.Popen[bytes], seconds: float) -> None:
    await waiting.wait_until(
        lambda: started.poll() is not None, seconds, "the supervisor has ended"
    )


async def _take_lock(place: Place) -> IO[str] | None:
    """The lock as an open file, with nothing left of an earlier stack; None if another has it."""
    with contextlib.ExitStack() as closing:
        lock = closing.enter_context(place.lock.open("a+"))
        while not _try_flock(lock, fcntl.LOCK_EX):
            if _is_locked(place.lock):
                return None
            # Somebody was only looking whether it is free.
            await asyncio.sleep(PROBE_SECONDS)
        _remove_state(place)
        closing.pop_all()
    return lock


def _adopt_lock(descriptor: int) -> IO[str]:
    # We got it by inheritance; a server that did so too would hold the lock after our end.
    os.set_inheritable(descriptor, False)
    return os.fdopen(descriptor, "a+")


def _find_supervisor(place: Place) -> int | None:
    """Whoever has written its number into the lock's file and has that file open.

    The number of an earlier supervisor, which may be a stranger's by now, does not count.
    """
    with contextlib.suppress(FileNotFoundError, PermissionError, ProcessLookupError):
        written = place.lock.read_text()
        if written and _has_open(int(written), place.lock):
            return int(written)
    return None


def _has_open(pid: int, path: pathlib.Path) -> bool:
    for opened in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            if opened.samefile(path):
                return True
    return False


def _is_locked(path: pathlib.Path) -> bool:
    with contextlib.suppress(FileNotFoundError), path.open() as file:
        return _is_held(file)
    return False


def _is_held(file: IO[str]) -> bool:
    """Whether somebody holds an exclusive lock; leaves a shared one until the file is closed."""
    return not _try_flock(file, fcntl.LOCK_SH)


def _try_flock(file: IO[str], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
