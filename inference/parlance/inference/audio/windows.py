"""Windows as an async stream: decoder -> front end on a thread -> whoever transcribes.

The event loop only passes blocks along, so heartbeats are never late; and as the stream is pulled,
a slow consumer stops the decoder instead of filling the memory.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import Executor
from typing import Protocol

from parlance.inference.audio.channels import SAMPLE_RATE_HZ
from parlance.inference.audio.front_end import FrontEnd
from parlance.inference.audio.packer import Window
from parlance.media.decode import PcmBlock

_BATCH_SECONDS = 8
"""PCM that goes to the thread in one hop."""


class Blocks(Protocol):
    """What `parlance.media.decode.Decoder` is here: an iterable of PCM blocks."""

    def __aiter__(self) -> AsyncIterator[PcmBlock]: ...


async def iter_windows(
    decoder: Blocks, front_end: FrontEnd, executor: Executor | None = None
) -> AsyncGenerator[Window, None]:
    """All windows of a call in order. Close it (`contextlib.aclosing`) when leaving early.

    Raises what the decoder raises, after the windows that came before.
    """
    loop = asyncio.get_running_loop()
    async with contextlib.aclosing(_iter_batches(decoder)) as batches:
        batch = await anext(batches, None)
        while batch is not None:
            feeding = loop.run_in_executor(executor, front_end.feed, batch)
            # The child decodes on while the thread looks for speech.
            coming = asyncio.ensure_future(anext(batches, None))
            try:
                for window in await feeding:
                    yield window
                await asyncio.wait((coming,))
            finally:
                coming.cancel()  # does nothing to one that is done
                await asyncio.gather(coming, return_exceptions=True)
            batch = coming.result()
    for window in await loop.run_in_executor(executor, front_end.finish):
        yield window


async def _iter_batches(decoder: Blocks) -> AsyncGenerator[bytes, None]:
    parts: list[bytes] = []
    length_bytes = 0
    async for block in decoder:
        parts.append(block.data)
        length_bytes += len(block.data)
        if length_bytes >= _BATCH_SECONDS * SAMPLE_RATE_HZ * 2 * block.channels:
            yield b"".join(parts)
            parts, length_bytes = [], 0
    if parts:
        yield b"".join(parts)
