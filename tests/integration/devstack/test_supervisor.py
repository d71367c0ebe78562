"""`make up` and `make down`, on a stand-in for the stack: who runs, who is told, what is left."""

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
from collections.abc import AsyncIterator, Iterator

import pytest

from devstack import __main__ as devstack_main
from devstack import errors, guard, supervisor, waiting

STATE = supervisor.State(
    url="http://127.0.0.1:8000",
    api_key="key_Ab-1",
    admin_email="admin@acme.example",
    admin_password="secret",
    admin_user_id="7",
    kubeconfig="/my files/admin.conf",
    kubectl="/my files/kubectl",
    namespace="parlance",
    database_url="postgresql://role:password@127.0.0.1:5432/parlance",
    pid=0,
)
# A supervisor whose stack is one sleeping server. It does nothing before there is a file `begin`
# and is not up before there is a file `go`.
STAND_IN = """
import asyncio, contextlib, json, os, pathlib, signal, sys, time
from devstack import process, supervisor, waiting
place = supervisor.Place(pathlib.Path(sys.argv[1]))
values = json.loads(sys.argv[2]) | {"pid": os.getpid()}
lock_fd = int(sys.argv[sys.argv.index("--lock-fd") + 1])
@contextlib.asynccontextmanager
async def open_stack():
    command = process.Command("server", ["sleep", "600"], place.local / "server.log")
    async with process.open_server(command) as server:
        with (place.local / "servers").open("a") as servers:
            print(server.pid, file=servers)
        await waiting.wait_until((place.local / "go").exists, 60, "go")
        yield supervisor.State(**values)
async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
    await supervisor.serve(place, open_stack(), lock_fd=lock_fd)
while not (place.local / "begin").exists():
    time.sleep(0.02)
with contextlib.suppress(asyncio.CancelledError):
    asyncio.run(main())
"""
# An `up` leaves the process that it has started on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")


class Bench:
    """A place with the stand-in; it may begin and go at once."""

    def __init__(self, local: pathlib.Path) -> None:
        local.mkdir()
        self.place = supervisor.Place(local)
        self.begin = local / "begin"
        self.go = local / "go"
        self.begin.touch()
        self.go.touch()

    async def up(
        self,
        *,
        start_timeout_seconds: float = supervisor.START_TIMEOUT_SECONDS,
        stop_timeout_seconds: float = supervisor.STOP_TIMEOUT_SECONDS,
    ) -> supervisor.State:
        values = json.dumps(dataclasses.asdict(STATE))
        program = (sys.executable, "-c", STAND_IN, str(self.place.local), values)
        return await supervisor.up(
            self.place,
            use_current_cluster=False,
            program=program,
            start_timeout_seconds=start_timeout_seconds,
            stop_timeout_seconds=stop_timeout_seconds,
        )

    def list_servers(self) -> list[int]:
        """The server of each supervisor that there was."""
        path = self.place.local / "servers"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    async def wait_for_servers(self, count: int) -> None:
        await waiting.wait_until(
            lambda: len(self.list_servers()) == count, 20, f"{count} supervisors have a server"
        )

    async def wait_for_end_of_servers(self) -> None:
        await waiting.wait_until(
            lambda: not guard.list_living(self.list_servers()), 20, "the servers have ended"
        )


@pytest.fixture
async def bench(tmp_path: pathlib.Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path / ".local")
    yield made
    made.begin.touch()
    await supervisor.down(made.place)
    assert not guard.list_living(made.list_servers())


@contextlib.contextmanager
def _hold(path: pathlib.Path, kind: int) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, kind)
        yield


def _is_locked(path: pathlib.Path) -> bool:
    try:
        with path.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


async def test_up_leaves_a_stack_that_the_next_up_finds_and_down_ends(bench: Bench) -> None:
    first = await bench.up()
    second = await bench.up()

    assert second == first == supervisor.read_state(bench.place)
    assert await supervisor.down(bench.place)
    assert supervisor.read_state(bench.place) is None
    assert not bench.place.environment_file.exists()
    assert not guard.list_living(bench.list_servers())
    assert not await supervisor.down(bench.place)


async def test_what_a_killed_supervisor_leaves_is_no_running_stack(bench: Bench) -> None:
    killed = await bench.up()
    os.kill(killed.pid, signal.SIGKILL)
    await bench.wait_for_end_of_servers()
    assert bench.place.state.exists()
    bench.go.unlink()

    starting = asyncio.create_task(bench.up())
    await bench.wait_for_servers(2)

    assert supervisor.read_state(bench.place) is None
    assert not bench.place.environment_file.exists()
    bench.go.touch()
    assert (await starting).pid != killed.pid


async def test_a_state_counts_only_while_its_writer_lives(bench: Bench) -> None:
    bench.place.state.write_text(json.dumps(dataclasses.asdict(STATE)))

    with _hold(bench.place.lock, fcntl.LOCK_EX):
        assert supervisor.read_state(bench.place) is None


async def test_an_up_that_is_given_up_leaves_nothing(bench: Bench) -> None:
    bench.go.unlink()
    starting = asyncio.create_task(bench.up())
    await bench.wait_for_servers(1)

    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert not _is_locked(bench.place.lock)
    assert not guard.list_living(bench.list_servers())


async def test_an_up_that_takes_too_long_leaves_nothing(bench: Bench) -> None:
    bench.go.unlink()

    with pytest.raises(errors.NotInTime, match="the stack is up"):
        await bench.up(start_timeout_seconds=3.0)

    assert not _is_locked(bench.place.lock)
    assert not guard.list_living(bench.list_servers())


async def test_a_supervisor_that_does_not_end_is_killed(bench: Bench) -> None:
    bench.go.unlink()
    starting = asyncio.create_task(bench.up(stop_timeout_seconds=0.5))
    await bench.wait_for_servers(1)
    pid = int(bench.place.lock.read_text())
    os.kill(pid, signal.SIGSTOP)

    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    guard.send_signal([pid], signal.SIGCONT)  # should it still be there, it can be ended

    assert not _is_locked(bench.place.lock)
    await bench.wait_for_end_of_servers()


async def test_two_at_once_share_one_stack(bench: Bench) -> None:
    first, second = await asyncio.gather(bench.up(), bench.up())

    assert first == second
    assert len(bench.list_servers()) == 1


async def test_an_up_that_waits_for_another_takes_over_when_that_one_is_given_up(
    bench: Bench,
) -> None:
    bench.go.unlink()
    starting = asyncio.create_task(bench.up())
    await bench.wait_for_servers(1)
    waiting_too = asyncio.create_task(bench.up())

    starting.cancel()
    await bench.wait_for_servers(2)
    bench.go.touch()

    assert await waiting_too == supervisor.read_state(bench.place)


async def test_down_ends_a_supervisor_that_has_only_just_been_started(bench: Bench) -> None:
    bench.begin.unlink()
    bench.go.unlink()
    starting = asyncio.create_task(bench.up())
    await waiting.wait_until(lambda: _is_locked(bench.place.lock), 10, "the lock is taken")

    ending = asyncio.create_task(supervisor.down(bench.place))
    await asyncio.sleep(0)
    bench.begin.touch()

    assert await ending
    with pytest.raises(errors.ServerDied):
        await starting
    assert not guard.list_living(bench.list_servers())


async def test_down_leaves_a_stranger_with_an_old_number_alone(bench: Bench) -> None:
    stranger = await asyncio.create_subprocess_exec("sleep", "600")
    bench.place.lock.write_text(str(stranger.pid))
    try:
        with _hold(bench.place.lock, fcntl.LOCK_EX):
            ending = asyncio.create_task(supervisor.down(bench.place))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(ending), 0.3)

        assert await ending
        assert stranger.returncode is None
    finally:
        stranger.terminate()
        await stranger.wait()


async def test_down_copes_with_a_number_that_nobody_has(bench: Bench) -> None:
    gone = await asyncio.create_subprocess_exec("true")
    await gone.wait()
    bench.place.lock.write_text(str(gone.pid))
    with _hold(bench.place.lock, fcntl.LOCK_EX):
        ending = asyncio.create_task(supervisor.down(bench.place))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(ending), 0.3)

    assert await ending


async def test_a_look_at_the_lock_keeps_nobody_from_taking_it(bench: Bench) -> None:
    with _hold(bench.place.lock, fcntl.LOCK_SH):
        starting = asyncio.create_task(bench.up())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(starting), 0.3)

    assert (await starting).url == STATE.url


async def test_nobody_but_the_supervisor_holds_the_lock(bench: Bench) -> None:
    state = await bench.up()

    family = guard.list_family(state.pid)
    holders = {
        pid
        for pid in family
        for opened in pathlib.Path(f"/proc/{pid}/fd").iterdir()
        if opened.exists() and opened.samefile(bench.place.lock)
    }
    assert len(family) >= 3  # with its guard and its server
    assert holders == {state.pid}


async def test_a_second_supervisor_in_the_foreground_says_why_it_does_not_start(
    bench: Bench,
) -> None:
    await bench.up()

    with pytest.raises(supervisor.RunsAlready, match="make down"):
        await supervisor.serve(bench.place, contextlib.nullcontext(STATE))


async def test_the_environment_file_survives_a_folder_with_a_space(bench: Bench) -> None:
    await bench.up()

    text = bench.place.environment_file.read_text()
    script = f'. {bench.place.environment_file}; printf %s "$KUBECONFIG"'
    assert subprocess.check_output(["sh", "-euc", script], text=True) == STATE.kubeconfig
    assert f"PARLANCE_API_KEY={STATE.api_key}\n" in text
    assert f"PARLANCE_DATABASE_URL={STATE.database_url}\n" in text
    assert bench.place.state.stat().st_mode & 0o077 == 0
    assert bench.place.environment_file.stat().st_mode & 0o077 == 0


def test_what_up_prints_can_be_pasted_into_a_shell(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = supervisor.Place(tmp_path / "work tree")
    place.local.mkdir()
    place.environment_file.write_text(supervisor.format_environment(STATE))

    devstack_main._print_state(place, STATE)

    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    script = f'{lines["shell"]}; printf %s "$PARLANCE_URL ${{PATH%%:*}}"'
    shown = subprocess.check_output(["sh", "-euc", script], text=True)
    assert shown == f"{STATE.url} {place.programs}"
    assert shlex.split(lines["kubectl"]) == [
        f"KUBECONFIG={STATE.kubeconfig}",
        *(STATE.kubectl, "-n", STATE.namespace),
    ]
