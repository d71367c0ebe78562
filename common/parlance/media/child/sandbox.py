"""What the child gives up before it reads the first untrusted byte. Linux only.

Three layers, each enough against the usual attack: limits of the kernel (memory, CPU, no file can
grow), no new privileges, and a seccomp filter that leaves the calls a computation needs: no open,
no socket, no exec, no new process or thread. Where seccomp is not to be had, the parent refuses to
read files, unless a setting allows it; then an empty network namespace takes its place, if the
kernel lets us make one.

Pure data is on top, so that the filter can be read; numbers are from the kernel's tables.
"""

import ctypes
import os
import platform
import resource
import struct
from typing import Any

# name: (x86_64, aarch64); None where the architecture does not have the call.
_ALLOWED_CALLS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "poll": (7, None),
    "ppoll": (271, 73),
    "lseek": (8, 62),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "futex": (202, 98),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getrusage": (98, 165),
    "gettimeofday": (96, 169),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "getrandom": (318, 278),
    "rseq": (334, 293),
    "set_robust_list": (273, 99),
    "exit": (60, 93),
    "exit_group": (231, 94),
}
_ARCHITECTURES = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_PR_GET_NO_NEW_PRIVS = 39
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_CLONE_NEWNET = 0x4000_0000
_CLONE_NEWUSER = 0x1000_0000
_SIGKILL = 9
_EPERM = 1

# Classic BPF: (code, jump if true, jump if false, constant).
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_OFFSET_NUMBER, _OFFSET_ARCHITECTURE = 0, 4
_ALLOW, _KILL, _ERRNO = 0x7FFF_0000, 0x8000_0000, 0x0005_0000


def follow_parent(parent_pid: int) -> None:
    """Die when the parent dies, however it does."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        raise SystemExit(0)  # it died before the line above


def confine(job: dict[str, Any], parent_pid: int) -> None:
    """Limits and ties to the parent."""
    follow_parent(parent_pid)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    limits = job["limits"]
    cpu_seconds = limits[f"{job['mode']}_cpu_seconds"]
    _limit(resource.RLIMIT_AS, limits["address_space_bytes"])
    # At the soft limit comes SIGXCPU, which tells a costly file from a kill by the machine; at the
    # hard one comes SIGKILL.
    _limit(resource.RLIMIT_CPU, cpu_seconds, cpu_seconds + 1)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, 64)


def lock() -> list[str]:
    """Give up all further rights: from here on this process can only compute and use its socket.

    Returns the names of what holds. The parent decides whether that is enough (`host`).
    """
    libc = ctypes.CDLL(None, use_errno=True)
    protections = ["rlimits"]
    if libc.prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1:
        protections.append("no_new_privileges")
    if _install_filter(libc):
        return [*protections, "seccomp"]
    if libc.unshare(_CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        protections.append("network_namespace")
    return protections


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    """Lower a limit; a hard limit that is lower already stays."""
    _, ceiling = resource.getrlimit(kind)
    hard = soft if hard is None else hard
    if ceiling != resource.RLIM_INFINITY:
        hard = min(hard, ceiling)
    resource.setrlimit(kind, (min(soft, hard), hard))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _install_filter(libc: ctypes.CDLL) -> bool:
    code = build_filter(platform.machine())
    if code is None:
        return False
    program = _Program(len(code) // 8, code)
    result = libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0)
    return bool(result == 0)


def build_filter(machine: str) -> bytes | None:
    """The filter as BPF; None for an architecture whose numbers we do not have.

    A foreign architecture's calls kill (their numbers mean other things), all others that are not
    listed fail with EPERM: libraries then go on without what they asked for.
    """
    if machine not in _ARCHITECTURES:
        return None
    column, audit_architecture = _ARCHITECTURES[machine]
    numbers = [number for row in _ALLOWED_CALLS.values() if (number := row[column]) is not None]
    instructions = [
        (_LOAD, 0, 0, _OFFSET_ARCHITECTURE),
        (_JUMP_IF_EQUAL, 1, 0, audit_architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _OFFSET_NUMBER),
    ]
    for index, number in enumerate(numbers):
        jump_to_allow = len(numbers) - index
        instructions.append((_JUMP_IF_EQUAL, jump_to_allow, 0, number))
    instructions += [(_RETURN, 0, 0, _ERRNO | _EPERM), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
