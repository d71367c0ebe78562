"""The guard reads the machine's processes, whoever they are and whatever they are called."""

import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from devstack import guard

# Linux cuts a process's name after 15 bytes, be it in the middle of a character.
HALF_A_CHARACTER = """
import pathlib
pathlib.Path("/proc/self/comm").write_bytes(b"caf\\xc3")
print("named", flush=True)
input()
"""


@pytest.fixture
def oddly_named() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", HALF_A_CHARACTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"named\n"
        assert b"(caf\xc3)" in pathlib.Path(f"/proc/{started.pid}/stat").read_bytes()
        yield started
        started.kill()


def test_a_name_cut_within_a_character_hides_nobody(
    oddly_named: subprocess.Popen[bytes],
) -> None:
    pid = oddly_named.pid

    assert guard.list_family(pid) == {pid}
    assert guard.list_living([pid]) == {pid}


def test_who_has_ended_but_was_not_waited_for_is_not_living(
    oddly_named: subprocess.Popen[bytes],
) -> None:
    oddly_named.kill()
    assert oddly_named.stdout is not None
    oddly_named.stdout.read()  # its end closes the pipe
    while guard.list_living([oddly_named.pid]):
        pass

    assert guard.list_family(oddly_named.pid) == set()
