"""Installers and other commands: they end with us, since their lock is free when we are gone."""

import asyncio
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from devstack import errors, guard, process, waiting

ROOT = pathlib.Path(__file__).resolve().parents[3]
# Stands in for every program that is started: says who it is, has a child elsewhere, and stays.
PROGRAM = f"""#!{sys.executable} -S
import os, pathlib, subprocess, time
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
unfinished = pathlib.Path(__file__).with_name("unfinished")
unfinished.write_text(f"{{os.getpid()}} {{child.pid}}")
unfinished.rename(unfinished.with_name("pids"))
time.sleep(600)
"""
# Calls one of the functions below with our program for uv, initdb and Python, and waits.
PARENT = """
import asyncio, pathlib, sys
from devstack import guard, packages, postgres, process, stack, triton
from devstack.controlplane import build
guard.find_guard()  # while sys.executable is Python
folder = pathlib.Path(sys.argv[1])
sys.executable = str(folder / "python")
asyncio.run({call})
"""
CALLS = {
    "any command": 'process.run([str(folder / "python")], folder / "log")',
    "a wheel": 'packages.fetch_wheel(folder / "lock.txt", folder / "wheel")',
    "Triton": 'triton._install(folder / "venv")',
    "a data folder": 'postgres._create_data_folder(folder, folder / "data", folder, "secret")',
    "a schema": 'stack._run_parlance("api", "migrate", folder=folder, environment={})',
    "a build": 'build._build_program(folder / "go", build.Program.ETCD, folder / "etcd", folder)',
}


@pytest.fixture
def programs(tmp_path: pathlib.Path) -> pathlib.Path:
    """A folder with the programs."""
    tmp_path.chmod(0o777)  # initdb is run as another user
    for name in ("python", "uv", "initdb", "go"):
        (tmp_path / name).write_text(PROGRAM)
        (tmp_path / name).chmod(0o755)
    return tmp_path


async def _wait_for_pids(folder: pathlib.Path) -> list[int]:
    path = folder / "pids"
    await waiting.wait_until(path.exists, 20, "the command runs")
    return [int(pid) for pid in path.read_text().split()]


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
async def test_a_command_ends_with_a_parent_that_is_killed(
    programs: pathlib.Path, call: str
) -> None:
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT.format(call=call), str(programs)),
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
    )
    pids = await _wait_for_pids(programs)
    assert guard.list_living(pids) == set(pids)

    parent.kill()
    await parent.wait()

    await waiting.wait_until(lambda: not guard.list_living(pids), 15, "the command has ended")


async def test_a_command_that_ignores_sigterm_ends_with_its_parent(tmp_path: pathlib.Path) -> None:
    script = f"trap '' TERM; echo $$ > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/pids; read -r x"
    call = f"process.run(['sh', '-c', \"{script} < /dev/zero\"], folder / 'log')"
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT.format(call=call), str(tmp_path)), cwd=ROOT
    )
    pids = await _wait_for_pids(tmp_path)

    parent.kill()
    await parent.wait()

    # Sooner than the grace time that servers get.
    await waiting.wait_until(
        lambda: not guard.list_living(pids), guard.GRACE_SECONDS / 2, "the command has ended"
    )


async def test_a_command_ends_with_the_task_that_waits_for_it(programs: pathlib.Path) -> None:
    task = asyncio.create_task(process.run([str(programs / "uv")], programs / "log"))
    pids = await _wait_for_pids(programs)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not guard.list_living(pids)


async def test_a_failure_shows_the_command_and_the_end_of_its_log(tmp_path: pathlib.Path) -> None:
    argv = ["sh", "-c", "echo no such luck; exit 3"]

    with pytest.raises(errors.CommandFailed, match="no such luck") as failed:
        await process.run(argv, tmp_path / "logs" / "log")

    assert (failed.value.argv, failed.value.status) == (tuple(argv), 3)


async def test_a_command_gets_folder_and_environment_and_no_input(tmp_path: pathlib.Path) -> None:
    log_path = tmp_path / "log"
    script = 'test "$PWD $WORD" = "$1 here" && ! read -r line'
    argv = ["sh", "-c", script, "sh", os.path.realpath(tmp_path)]

    await process.run(argv, log_path, folder=tmp_path, environment={"WORD": "here"})

    assert not log_path.exists()


async def test_a_program_that_is_missing_is_a_command_that_failed(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.CommandFailed, match="not found"):
        await process.run(["no-such-program"], tmp_path / "log")


async def test_what_is_printed_is_read_to_its_end(tmp_path: pathlib.Path) -> None:
    argv = [sys.executable, "-c", "print('x' * 1_000_000)"]
    with (tmp_path / "log").open("wb") as log:
        async with process.open_command(
            argv, stdout=asyncio.subprocess.PIPE, stderr=log
        ) as started:
            output, _ = await started.communicate()

    assert len(output) == 1_000_001
    assert started.returncode == 0


async def test_a_command_that_is_left_early_is_ended(tmp_path: pathlib.Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        async with process.open_command(["sleep", "600"], stdout=log, stderr=log) as started:
            pass

    assert started.returncode == -signal.SIGKILL
