"""Life of a process: one event loop, stop signals, a clean end. Called by every `__main__`."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

import structlog
import uvloop

_log = structlog.get_logger(__name__)


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


def run(main: Callable[[Process], Awaitable[None]]) -> int:
    """Run `main` until it returns and give back the exit code.

    The first SIGTERM or SIGINT sets `stopping`; a second one ends the process at once, for people
    who have waited long enough.
    """
    return uvloop.run(_supervise(main))


async def _supervise(main: Callable[[Process], Awaitable[None]]) -> int:
    process = Process()
    loop = asyncio.get_running_loop()

    def on_signal(number: signal.Signals) -> None:
        if process.stopping.is_set():
            sys.exit(128 + number)
        _log.info("stopping", signal=number.name)
        process.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    await main(process)
    return process.exit_code
