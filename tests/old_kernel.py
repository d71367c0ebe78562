"""A kernel without seccomp, for one command: `python -m tests.old_kernel COMMAND ARGUMENT...`.

It cannot be undone, so it needs a process of its own; the command takes its place.
"""

import ctypes
import os
import struct
import sys

# Names and numbers of the kernel.
_EINVAL = 22
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 22, 2
_PRCTL_NUMBERS = (157, 167)  # x86_64, aarch64
_ALLOW, _ERRNO = 0x7FFF_0000, 0x0005_0000
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_OFFSET_NUMBER, _OFFSET_FIRST_ARGUMENT = 0, 16


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def forbid_seccomp() -> None:
    """From now on whoever asks for a filter is told that there is no such thing."""
    instructions = [
        (_LOAD, 0, 0, _OFFSET_NUMBER),
        (_JUMP_IF_EQUAL, 1, 0, _PRCTL_NUMBERS[0]),
        (_JUMP_IF_EQUAL, 0, 3, _PRCTL_NUMBERS[1]),
        (_LOAD, 0, 0, _OFFSET_FIRST_ARGUMENT),
        (_JUMP_IF_EQUAL, 0, 1, _PR_SET_SECCOMP),
        (_RETURN, 0, 0, _ERRNO | _EINVAL),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    program = _Program(len(instructions), code)
    assert libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0


if __name__ == "__main__":
    forbid_seccomp()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - what the test wants to see there
