"""The guard: a small process that ends our servers when we cannot, be it after SIGKILL.

It reads "+<process group> <signal>" and "-<process group>" lines from a pipe whose only writer is
the process that started it. When the pipe closes, that process is gone, and what is still on the
list is ended. A parent-death signal would not do: it is bound to the thread that forked, it is
dropped when a server changes its user, as Postgres does here, and it leaves a server's own
children running. `process.py` starts the guard and talks to it; run as a program, this file is the
guard.
"""

import atexit
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping

GRACE_SECONDS = 8.0
POLL_SECONDS = 0.02
# A /proc mounted with `hidepid` shows no processes of other users, and none of those is ours.
GONE_OR_HIDDEN = (FileNotFoundError, ProcessLookupError, PermissionError)


class Guard:
    """The near end of the pipe."""

    def __init__(self) -> None:
        self.owner_pid = os.getpid()
        # -I -S: it needs nothing but the standard library and must start in a few milliseconds.
        argv = [sys.executable, "-I", "-S", str(pathlib.Path(__file__))]
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, start_new_session=True, cwd="/", text=True
        )
        atexit.register(self.close)

    def watch(self, process_group: int, stop_signal: signal.Signals) -> None:
        """From now on this group ends when we do."""
        self._tell(f"+{process_group} {stop_signal.value}\n")

    def forget(self, process_group: int) -> None:
        """The group has ended; its number may soon belong to somebody else."""
        self._tell(f"-{process_group}\n")

    def close(self) -> None:
        """Let the guard go; it ends whatever is still on its list first."""
        # A forked child inherits the atexit hook but not the guard.
        if os.getpid() != self.owner_pid or self._process.stdin is None:
            return
        self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line)
        self._process.stdin.flush()


_guard: Guard | None = None
_guard_lock = threading.Lock()


def find_guard() -> Guard:
    """This process's guard, started at the first call."""
    global _guard
    with _guard_lock:
        if _guard is None or _guard.owner_pid != os.getpid():
            _guard = Guard()
        return _guard


def send_signal(pids: Iterable[int], number: signal.Signals) -> None:
    """Send a signal to each process that is still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def list_family(process_group: int) -> set[int]:
    """The processes of a group and their descendants, wherever those have moved.

    Postgres, for one, gives every backend a session of its own. Zombies are left out: they have
    ended.
    """
    parents: dict[int, int] = {}
    family: set[int] = set()
    for stat_path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            # The command's name, in parentheses, may hold anything, half a character too; after it
            # come state, parent and group.
            state, parent, group = stat_path.read_bytes().rpartition(b")")[2].split()[:3]
        except GONE_OR_HIDDEN:
            continue
        if state not in b"ZX":
            pid = int(stat_path.parent.name)
            parents[pid] = int(parent)
            if int(group) == process_group:
                family.add(pid)
    while grown := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= grown
    return family


def list_living(pids: Iterable[int]) -> set[int]:
    """Those of the processes that have not ended."""
    living = set()
    for pid in pids:
        with contextlib.suppress(*GONE_OR_HIDDEN):
            stat = pathlib.Path(f"/proc/{pid}/stat").read_bytes()
            if stat.rpartition(b")")[2].split()[0] not in b"ZX":
                living.add(pid)
    return living


def are_stopped(pids: Iterable[int]) -> bool:
    """Whether no thread of these processes runs: each is stopped by a signal or has ended."""
    for pid in pids:
        for stat_path in pathlib.Path(f"/proc/{pid}/task").glob("*/stat"):
            with contextlib.suppress(*GONE_OR_HIDDEN):
                if stat_path.read_bytes().rpartition(b")")[2].split()[0] not in b"TtZX":
                    return False
    return True


def end_groups(stop_signals: Mapping[int, signal.Signals]) -> None:
    """Each leader gets its signal, all at once; SIGKILL to what is left after the grace time.

    Only leaders are asked, as everywhere else: how they end their children is their own affair.
    Children that outlive their leader are killed at once.
    """
    families = {leader: list_family(leader) for leader in stop_signals}
    for leader, stop_signal in stop_signals.items():
        send_signal([leader], stop_signal)
        send_signal(families[leader], signal.SIGCONT)
    deadline = time.monotonic() + GRACE_SECONDS
    while any(families.values()):
        is_late = time.monotonic() >= deadline
        for leader, family in families.items():
            families[leader] = living = list_living(family)
            if is_late or leader not in living:
                send_signal(living, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def main() -> None:
    """Keep the list until the pipe closes, then end what is on it."""
    # Whoever ends our parent's whole terminal must not end us before we have done our work.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watched: dict[int, signal.Signals] = {}
    for line in sys.stdin:
        group, *numbers = (int(word) for word in line[1:].split())
        if numbers:
            watched[group] = signal.Signals(numbers[0])
        else:
            watched.pop(group, None)
    end_groups(watched)


if __name__ == "__main__":
    main()
