"""Server processes: ready when they say so, gone when they should be, whatever happens to us."""

import asyncio
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from devstack import errors, guard, process, waiting

ROOT = pathlib.Path(__file__).resolve().parents[3]
# A server with a child that has moved to a session of its own, as Postgres' backends do.
SERVER_WITH_CHILD = """
import subprocess, pathlib, time
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
pathlib.Path("child").write_text(str(child.pid))
time.sleep(600)
"""
STUBBORN_SERVER = """
import pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path("ready").touch()
time.sleep(60)
"""
# Three threads that are never idle.
BUSY_SERVER = """
import pathlib, threading
def work():
    while True:
        sum(range(1000))
for _ in range(2):
    threading.Thread(target=work).start()
pathlib.Path("ready").touch()
work()
"""
# Starts the first server above and then waits to be killed.
# A suite that runs in the background of a shell inherits an ignored SIGINT.
PARENT = """
import asyncio, pathlib, signal, sys
from devstack import process
signal.signal(signal.SIGINT, signal.default_int_handler)
folder, script = pathlib.Path(sys.argv[1]), sys.argv[2]
command = process.Command("sleeper", [sys.executable, "-c", script], folder / "log", folder=folder)
async def is_ready():
    return (folder / "child").exists() and (folder / "child").read_text() != ""
async def main():
    async with process.open_server(command, is_ready) as server:
        print(server.pid, flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


def _build_command(folder: pathlib.Path, script: str) -> process.Command:
    return process.Command("server", [sys.executable, "-c", script], folder / "log", folder=folder)


async def _wait_for_child(folder: pathlib.Path) -> int:
    path = folder / "child"
    await waiting.wait_until(lambda: path.exists() and path.read_text(), 10, "the child is there")
    return int(path.read_text())


async def test_a_server_is_handed_over_when_it_is_ready(tmp_path: pathlib.Path) -> None:
    ready_file = tmp_path / "ready"
    script = "import time, pathlib; time.sleep(0.3); pathlib.Path('ready').touch(); time.sleep(60)"

    async def is_ready() -> bool:
        return ready_file.exists()

    async with process.open_server(_build_command(tmp_path, script), is_ready) as server:
        assert ready_file.exists()
        assert server.is_running


async def test_a_paused_server_does_nothing_until_it_is_resumed(tmp_path: pathlib.Path) -> None:
    async def is_ready() -> bool:
        return (tmp_path / "ready").exists()

    async with process.open_server(_build_command(tmp_path, BUSY_SERVER), is_ready) as server:
        await server.pause()
        is_stopped_when_paused = guard.are_stopped([server.pid])
        server.resume()

        assert is_stopped_when_paused
        await waiting.wait_until(
            lambda: not guard.are_stopped([server.pid]), 5, "the server works again"
        )


async def test_a_server_that_dies_early_shows_the_end_of_its_log(tmp_path: pathlib.Path) -> None:
    command = _build_command(tmp_path, "raise SystemExit('no such luck')")

    async def is_ready() -> bool:
        return False

    with pytest.raises(errors.ServerDied, match="no such luck"):
        async with process.open_server(command, is_ready):
            pass


async def test_a_server_that_is_never_ready_shows_the_end_of_its_log(
    tmp_path: pathlib.Path,
) -> None:
    command = process.Command(
        "server",
        [sys.executable, "-uc", "print('still thinking'); import time; time.sleep(60)"],
        tmp_path / "log",
        start_timeout_seconds=2.0,
    )

    async def is_ready() -> bool:
        return False

    with pytest.raises(errors.NotInTime, match="still thinking"):
        async with process.open_server(command, is_ready):
            pass


async def test_the_end_takes_children_in_other_sessions_along(tmp_path: pathlib.Path) -> None:
    async with process.open_server(_build_command(tmp_path, SERVER_WITH_CHILD)) as server:
        child = await _wait_for_child(tmp_path)
        pid = server.pid

    assert not guard.list_living([pid, child])


async def test_a_server_that_ignores_sigterm_is_killed(tmp_path: pathlib.Path) -> None:
    command = process.Command(
        "stubborn",
        [sys.executable, "-c", STUBBORN_SERVER],
        tmp_path / "log",
        folder=tmp_path,
        stop_timeout_seconds=0.5,
    )

    async def is_ready() -> bool:
        return (tmp_path / "ready").exists()

    async with process.open_server(command, is_ready) as server:
        pid = server.pid

    assert not guard.list_living([pid])


async def test_a_killed_server_can_be_started_again(tmp_path: pathlib.Path) -> None:
    async with process.open_server(
        _build_command(tmp_path, "import time; time.sleep(60)")
    ) as server:
        first = server.pid
        await server.kill()
        assert not server.is_running

        await server.start()

        assert server.is_running
        assert server.pid != first


async def test_a_server_that_was_killed_from_outside_can_be_started_again(
    tmp_path: pathlib.Path,
) -> None:
    async with process.open_server(
        _build_command(tmp_path, "import time; time.sleep(60)")
    ) as server:
        os.kill(server.pid, signal.SIGKILL)
        await waiting.wait_until(lambda: not server.is_running, 5, "the server has gone")

        await server.start()

        assert server.is_running


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_servers_end_with_their_parent(
    tmp_path: pathlib.Path, number: signal.Signals
) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, str(tmp_path), SERVER_WITH_CHILD),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert parent.stdout is not None
    server_pid = int(await parent.stdout.readline())
    child = await _wait_for_child(tmp_path)

    parent.send_signal(number)
    await parent.wait()

    await waiting.wait_until(
        lambda: not guard.list_living([server_pid, child]), 15, "server and child have ended"
    )


async def test_waiting_names_what_it_waited_for() -> None:
    with pytest.raises(errors.NotInTime, match=r"pigs fly: not within 0\.1 s"):
        await waiting.wait_until(lambda: False, 0.1, "pigs fly")


async def test_waiting_takes_async_conditions() -> None:
    answers = iter([False, False, True])

    async def ask() -> bool:
        return next(answers)

    await waiting.wait_until(ask, 5, "the third answer")
