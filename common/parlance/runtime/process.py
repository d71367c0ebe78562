"""Life of a process: one event loop, stop signals, a clean end. Called by every `__main__`."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable

import structlog
import uvloop

_log = structlog.get_logger(__name__)

_COLLECT_AFTER_OBJECTS = 10_000


class Process:
    """What the main function of a process gets to see of its surroundings."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        """Set by SIGTERM or SIGINT, or by `stop`."""
        self.exit_code = 0

    def stop(self, exit_code: int = 0) -> None:
        """Ask for an orderly end; the first non-zero exit code stays."""
        self.exit_code = self.exit_code or exit_code
        self.stopping.set()

    def take_signals(self) -> None:
        """Let SIGTERM and SIGINT set `stopping`; again after a library took them for itself."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self.stopping.is_set():
            sys.exit(128 + number)
        _log.info("stopping", signal=number.name)
        self.stop()


def run(main: Callable[[Process], Awaitable[None]]) -> int:
    """Run `main` until it returns and give back the exit code.

    The first SIGTERM or SIGINT sets `stopping`; a second one ends the process at once, for people
    who have waited long enough.
    """
    # Modules and their classes stay, and requests make many small objects that live briefly: with
    # Python's own thresholds a tenth of the time of API and recorder went into looking at them.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER_OBJECTS, 10, 10)
    return uvloop.run(_supervise(main))


async def _supervise(main: Callable[[Process], Awaitable[None]]) -> int:
    process = Process()
    process.take_signals()
    await main(process)
    return process.exit_code
