"""One progress line per long step, so that nobody wonders whether a command hangs.

Short steps print nothing: the first line appears after `QUIET_SECONDS`, then one every
`INTERVAL_SECONDS`.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator

QUIET_SECONDS = 2.0
INTERVAL_SECONDS = 10.0


class Step:
    """A step that is under way; whoever does the work keeps `detail` current."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.detail = ""
        self.started_at = time.monotonic()
        self.has_printed = False

    def print_line(self, ending: str = "") -> None:
        """Write the line to stderr, where it does not mix with a command's own output."""
        elapsed_seconds = time.monotonic() - self.started_at
        parts = [part for part in (self.detail, ending) if part]
        text = f"[{elapsed_seconds:4.0f} s] {self.what} ... {', '.join(parts)}".rstrip()
        print(text, file=sys.stderr, flush=True)
        self.has_printed = True


@contextlib.asynccontextmanager
async def open_step(what: str) -> AsyncIterator[Step]:
    """Print a line now and then while the block runs, and one at its end if any was printed."""
    step = Step(what)
    ticker = asyncio.create_task(_tick(step))
    try:
        yield step
    except BaseException:
        step.print_line("failed")
        raise
    finally:
        ticker.cancel()
        await asyncio.gather(ticker, return_exceptions=True)
    if step.has_printed:
        step.print_line("done")


async def _tick(step: Step) -> None:
    await asyncio.sleep(QUIET_SECONDS)
    while True:
        step.print_line()
        await asyncio.sleep(INTERVAL_SECONDS)
