"""Is the speech model alive? Asked by people and probes: `python -m parlance.inference canary`.

The worker's readiness asks through `ModelHealth`, which takes real work as proof and sends a
canary of its own only when there was none lately.
"""

import json
import sys
import time

from parlance.inference.asr import client
from parlance.inference.asr.client import TritonTranscriber
from parlance.inference.asr.errors import AsrBusy, AsrRejected, AsrUnavailable
from parlance.inference.settings import AsrSettings


class ModelHealth:
    """Whether the model gives results, cheaply."""

    def __init__(
        self, transcriber: TritonTranscriber, *, fresh_seconds: float, timeout_seconds: float
    ) -> None:
        self._transcriber = transcriber
        self._fresh_seconds = fresh_seconds
        self._timeout_seconds = timeout_seconds

    async def find_problem(self) -> str | None:
        if self._transcriber.seconds_since_answer < self._fresh_seconds:
            return None
        try:
            await self._transcriber.check(self._timeout_seconds)
        except AsrBusy:
            # A full queue is work, not a fault. Were its model dead, what waits in it would reach
            # its timeout, and the next canary would find room and no answer.
            return None
        except (AsrUnavailable, AsrRejected) as exc:
            return str(exc)
        return None


async def run_canary(settings: AsrSettings) -> int:
    """One inference, one line of JSON on standard output; exit status 0, or 1 for a dead model."""
    started = time.perf_counter()
    async with client.open_triton(settings) as transcriber:
        try:
            window = await transcriber.check()
        except AsrBusy:
            return _report(0, ok=True, busy=True)
        except (AsrUnavailable, AsrRejected) as exc:
            return _report(1, ok=False, error=str(exc))
    seconds = round(time.perf_counter() - started, 3)
    return _report(0, ok=True, model=window.model, hash=window.model_hash, seconds=seconds)


def _report(status: int, **values: object) -> int:
    sys.stdout.write(json.dumps(values) + "\n")
    return status
