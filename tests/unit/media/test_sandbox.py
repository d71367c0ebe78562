"""The child really has lost what it gave up. Each test tries it in a process of its own."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from parlance.media import decoders, probe
from parlance.media.bytesource import MemorySource
from parlance.media.child import sandbox
from parlance.media.errors import DecoderLost
from parlance.media.limits import MediaLimits
from parlance.media.sniff import Container
from parlance.runtime.settings import MediaSettings

from tests.unit.media import corpus

_ROOT = Path(sandbox.__file__).parents[3]
_PREPARE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from parlance.media.child import sandbox
import socket, subprocess, threading, json
job = {"mode": "probe", "limits": {"probe_cpu_seconds": 2, "address_space_bytes": 1 << 30}}
sandbox.confine(job, os.getppid())
assert "seccomp" in sandbox.lock()
try:
    {attempt}
except OSError as error:
    print("refused", error.errno)
except RuntimeError:
    print("refused")
else:
    print("allowed")
"""


def attempt(code: str) -> "subprocess.CompletedProcess[str]":
    program = _PREPARE.replace("{attempt}", code)
    command = [sys.executable, "-I", "-c", program, str(_ROOT)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/passwd')",
        "open('/tmp/parlance-sandbox-escape', 'w')",
        "os.listdir('/')",
        "socket.socket()",
        "socket.socketpair()",
        "os.fork()",
        "subprocess.run(['/bin/true'])",
        "os.execv('/bin/true', ['true'])",
        "threading.Thread(target=print).start()",
        "os.kill(os.getppid(), 0)",
        "os.setuid(1)",
        "os.chroot('/')",
        "os.unlink('/tmp/x')",
        "os.pipe()",
        "os.memfd_create('x')",
    ],
)
def test_it_is_refused(code: str) -> None:
    result = attempt(code)

    assert result.stdout.startswith("refused"), result.stderr


def test_computing_is_allowed() -> None:
    assert attempt("json.dumps(sum(range(10)))").stdout == "allowed\n"


def test_endless_computing_ends() -> None:
    assert attempt("\n    while True: pass").returncode < 0


def test_memory_has_an_end() -> None:
    assert "MemoryError" in attempt("bytearray(2 << 30)").stderr


def test_a_foreign_architecture_has_no_filter() -> None:
    assert sandbox.build_filter("riscv64") is None


def test_the_filter_has_one_jump_for_each_call() -> None:
    for machine in ("x86_64", "aarch64"):
        code = sandbox.build_filter(machine)

        assert code is not None
        assert len(code) % 8 == 0
        assert len(code) // 8 < 100


async def test_probing_runs_inside_of_it() -> None:
    probed = await probe.probe(MemorySource(corpus.build_wav(1.0)), Container.WAV)

    assert {"rlimits", "no_new_privileges", "seccomp"} <= set(probed.protections)


async def test_a_file_that_eats_the_cpu_is_ended_and_not_tried_again() -> None:
    data = corpus.encode("mp3", "libmp3lame", 30.0, rate_hz=44_100)
    # No CPU at all: the kernel ends the child on its first tick, as one that loops on its last.
    limits = MediaLimits(probe_cpu_seconds=0, walk_bytes=1 << 30)

    with pytest.raises(DecoderLost) as caught:
        await probe.probe(MemorySource(data * 20), Container.MP3, limits)

    assert not caught.value.retryable


@pytest.mark.skipif(os.geteuid() != 0, reason="other users' limits cannot be seen")
async def test_a_child_without_memory_says_so() -> None:
    limits = MediaLimits(address_space_bytes=64 << 20)

    with pytest.raises(DecoderLost) as caught:
        await probe.probe(MemorySource(corpus.build_wav(1.0)), Container.WAV, limits)

    assert caught.value.return_code != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to make a network namespace")
def test_without_seccomp_there_is_still_no_network() -> None:
    program = _PREPARE.replace(
        'assert "seccomp" in sandbox.lock()',
        'sandbox.build_filter = lambda machine: None\nassert "network_namespace" in sandbox.lock()',
    ).replace("{attempt}", "socket.socket().connect(('127.0.0.1', 9))")
    command = [sys.executable, "-I", "-c", program, str(_ROOT)]

    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    assert result.stdout == f"refused {errno.ENETUNREACH}\n", result.stderr


def read_on_an_old_kernel(
    *arguments: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    reading = [sys.executable, "-m", "tests.unit.media.reading", *arguments]
    command = [sys.executable, "-m", "tests.old_kernel", *reading]
    return subprocess.run(
        command,
        env={**os.environ, **environment},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def test_without_seccomp_no_file_is_read() -> None:
    told = read_on_an_old_kernel().stdout

    assert told == "refused: the decoder's sandbox lacks seccomp"


def test_a_process_without_seccomp_says_why_it_reads_nothing() -> None:
    result = read_on_an_old_kernel("open")

    reason = "the decoder's sandbox lacks seccomp"
    assert result.stdout == f"refused: {reason}; problem: {reason}"
    assert json.loads(result.stderr) | {
        "event": "no audio can be read",
        "level": "error",
        "reason": reason,
        "allowed_by": "PARLANCE_DECODER_ALLOW_UNSANDBOXED",
    } == json.loads(result.stderr)


def test_a_setting_lets_a_process_read_without_seccomp_and_that_is_logged() -> None:
    result = read_on_an_old_kernel("open", PARLANCE_DECODER_ALLOW_UNSANDBOXED="true")

    assert result.stdout.startswith("read with rlimits, no_new_privileges")
    assert "seccomp" not in result.stdout
    assert result.stdout.endswith("; problem: None")
    assert json.loads(result.stderr)["missing"] == ["seccomp"]


async def test_a_process_with_its_sandbox_has_no_problem() -> None:
    async with decoders.open_decoders(MediaSettings()) as opened:
        assert opened.problem is None
