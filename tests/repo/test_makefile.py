"""The Makefile: one environment for commands that start at once, and flags that get through."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Stands in for python3 and for what it puts into an environment: says how it was called.
PROGRAM = """#!/bin/sh
echo "$(basename "$0") $*" >> "$LOG"
if [ "$2" = venv ]; then
  sleep 0.5  # so that two that start at once meet
  rm -rf "$4"; mkdir -p "$4/bin"
  for name in python pip uv; do cp "$0" "$4/bin/$name"; done
fi
"""


@pytest.fixture
def clone(tmp_path: pathlib.Path) -> pathlib.Path:
    """A fresh clone as far as the environment is concerned, with programs that do nothing."""
    for name in ("Makefile", "pyproject.toml", "requirements"):
        source, target = ROOT / name, tmp_path / name
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    for path in (tmp_path / "bin" / "python3", tmp_path / "tools" / "system-packages.sh"):
        path.parent.mkdir()
        path.write_text(PROGRAM)
        path.chmod(0o755)
    return tmp_path


def _start_make(clone: pathlib.Path) -> subprocess.Popen[bytes]:
    path = f"{clone / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        ["make", "-C", str(clone), ".local/venv/ready"],
        env={"PATH": path, "LOG": str(clone / "log")},
    )


def _read_calls(clone: pathlib.Path) -> list[str]:
    return (clone / "log").read_text().splitlines()


def test_two_commands_at_once_make_one_environment(clone: pathlib.Path) -> None:
    commands = [_start_make(clone) for _ in range(2)]

    assert [command.wait() for command in commands] == [0, 0]
    assert _read_calls(clone).count("python3 -m venv --clear .local/venv") == 1


def test_a_running_stack_is_ended_before_its_programs_go(clone: pathlib.Path) -> None:
    assert _start_make(clone).wait() == 0
    (clone / "log").unlink()
    (clone / ".local" / "venv" / "ready").unlink()

    assert _start_make(clone).wait() == 0

    calls = _read_calls(clone)
    assert calls.index("python -m devstack down") < calls.index(
        "python3 -m venv --clear .local/venv"
    )


def test_everything_is_installed_by_hash(clone: pathlib.Path) -> None:
    assert _start_make(clone).wait() == 0

    installed = [call for call in _read_calls(clone) if " install " in call]
    assert len(installed) == 3
    assert all("--require-hashes" in call or call.endswith("--no-deps -e .") for call in installed)


@pytest.mark.parametrize("command", ["setup", "demo", "up"])
def test_nothing_is_built_for_a_cluster_of_the_users_own(command: str) -> None:
    shown = subprocess.run(
        ["make", "--dry-run", "--old-file=.local/venv/ready", command, "CLUSTER=current"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if "MAKE" not in name},
        capture_output=True,
        text=True,
        check=True,
    )

    commands = [line for line in shown.stdout.splitlines() if "-m devstack" in line]
    assert commands
    assert all("--current-cluster" in line for line in commands)
