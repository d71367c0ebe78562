"""Reads a second of sound and tells what came of it: `python -m tests.unit.media.reading`.

With the argument `open` it opens the decoders of a process first, as API and worker do.
"""

import asyncio
import sys

from parlance.media import decoders, probe
from parlance.media.bytesource import MemorySource
from parlance.media.sniff import Container
from parlance.media.spawning import Spawner
from parlance.runtime import telemetry
from parlance.runtime.errors import Retryable
from parlance.runtime.settings import MediaSettings, TelemetrySettings

from tests.unit.media import corpus


async def read(spawner: Spawner | None = None) -> str:
    source = MemorySource(corpus.build_wav(1.0))
    try:
        probed = await probe.probe(source, Container.WAV, spawner=spawner)
    except Retryable as error:
        return f"refused: {error}"
    return f"read with {', '.join(probed.protections)}"


async def open_and_read() -> str:
    async with decoders.open_decoders(MediaSettings()) as opened:
        return f"{await read(opened)}; problem: {opened.problem}"


if __name__ == "__main__":
    telemetry.configure(TelemetrySettings(), service="test")
    sys.stdout.write(asyncio.run(open_and_read() if "open" in sys.argv else read()))
