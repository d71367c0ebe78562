"""`make up` and `make down`: a stack that outlives the command that started it.

A detached supervisor process owns the stack and holds a lock on its folder; whoever wants to know
whether it runs tries the lock. When the supervisor dies, however it dies, its servers die with it.
"""

import asyncio
import dataclasses
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import sys
from typing import IO

from devstack import errors, stack, waiting

START_TIMEOUT_SECONDS = 1800.0
"""The first start builds the control plane, which takes minutes."""
STOP_TIMEOUT_SECONDS = 60.0


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
    if not _is_locked(place.lock) or not place.state.exists():
        return None
    return State(**json.loads(place.state.read_text()))


async def up(place: Place, *, use_current_cluster: bool) -> State:
    """Start a stack that stays, or find the one that runs."""
    if (state := read_state(place)) is not None:
        return state
    place.local.mkdir(parents=True, exist_ok=True)
    started: subprocess.Popen[bytes] | None = None
    if not _is_locked(place.lock):
        place.log.write_bytes(b"")
        started = _spawn(place, use_current_cluster=use_current_cluster)
    with place.log.open() as log:
        await waiting.wait_until(
            lambda: _is_up(place, started, log), START_TIMEOUT_SECONDS, "the stack is up"
        )
    state = read_state(place)
    assert state is not None
    return state


async def down(place: Place) -> bool:
    """End the running stack; False when none runs."""
    if not _is_locked(place.lock):
        return False
    pid = int(place.lock.read_text() or 0)
    if pid:
        os.kill(pid, signal.SIGTERM)
    await waiting.wait_until(
        lambda: not _is_locked(place.lock), STOP_TIMEOUT_SECONDS, "the stack has ended"
    )
    return True


async def serve(place: Place, *, use_current_cluster: bool, port: int | None) -> None:
    """The supervisor itself: run the stack until cancelled."""
    with place.lock.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another one was faster, which is as good
        place.lock.write_text(str(os.getpid()))
        options = stack.Options(port=port, use_current_cluster=use_current_cluster)
        try:
            async with stack.open_stack(place.folder, options) as running:
                _write_state(place, describe(running))
                await asyncio.Event().wait()
        finally:
            place.state.unlink(missing_ok=True)
            place.environment_file.unlink(missing_ok=True)


def describe(running: stack.Stack) -> State:
    """What others need to know of a stack of this process."""
    credentials = running.credentials
    return State(
        url=running.url,
        api_key=credentials.api_key,
        admin_email=credentials.admin_email,
        admin_password=credentials.admin_password,
        admin_user_id=credentials.admin_user_id,
        kubeconfig=str(running.cluster.kubeconfig),
        kubectl=str(running.cluster.kubectl),
        namespace=running.namespace,
        database_url=running.environment["PARLANCE_DATABASE_URL"],
        pid=os.getpid(),
    )


def _write_state(place: Place, state: State) -> None:
    _write_private(
        place.environment_file,
        f"PARLANCE_URL={state.url}\n"
        f"PARLANCE_API_KEY={state.api_key}\n"
        f"KUBECONFIG={state.kubeconfig}\n"
        f"PARLANCE_DATABASE_URL={state.database_url}\n",
    )
    place.programs.mkdir(exist_ok=True)
    kubectl = place.programs / "kubectl"
    kubectl.unlink(missing_ok=True)
    kubectl.symlink_to(state.kubectl)
    _write_private(place.state, json.dumps(dataclasses.asdict(state)))


def _write_private(path: pathlib.Path, text: str) -> None:
    """Readable by us alone, and complete from the moment that it exists."""
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(text)
    unfinished.rename(path)


def _spawn(place: Place, *, use_current_cluster: bool) -> subprocess.Popen[bytes]:
    words = ["serve", *(["--current-cluster"] if use_current_cluster else [])]
    with place.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "devstack", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=stack.ROOT,
            start_new_session=True,
        )


def _is_up(place: Place, started: subprocess.Popen[bytes] | None, log: IO[str]) -> bool:
    # The supervisor's progress is the user's progress.
    sys.stderr.write(log.read())
    if started is not None and started.poll() is not None:
        raise errors.ServerDied("the stack", started.returncode, place.log)
    return read_state(place) is not None


def _is_locked(path: pathlib.Path) -> bool:
    if not path.exists():
        return False
    with path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
