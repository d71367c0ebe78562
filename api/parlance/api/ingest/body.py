"""The request body as a stream that ends in one of three ways: whole, hung up, or stalled."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from litestar import Request
from litestar.exceptions import InternalServerException
from parlance.api.errors import ClientGone, Refused
from parlance.contracts.problems import Problem

IDLE_SECONDS = 60.0
"""Longest silence of a client in the middle of a body; a stalled one holds an upload's place."""


async def read_body(request: Request[Any, Any, Any]) -> AsyncGenerator[bytes, None]:
    """Chunks as the server hands them over. Raises ClientGone or Refused."""
    chunks = request.stream()
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError as exc:
            raise Refused(
                Problem.MALFORMED_REQUEST,
                f"Nothing was received for {IDLE_SECONDS:g} s.",
                headers={"Connection": "close"},
            ) from exc
        except InternalServerException as exc:  # how the framework words a hang-up
            raise ClientGone from exc
        if chunk:
            yield chunk


async def gather(chunks: AsyncIterator[bytes], block_bytes: int) -> AsyncGenerator[bytes, None]:
    """The same bytes, small pieces joined: each one is a crossing into the store's threads.

    A piece of a block or more goes through as it is. Larger blocks would cost more than they save:
    memory of more than about 128 KiB is mapped and zeroed anew each time.
    """
    pieces: list[bytes] = []
    size_bytes = 0
    async for chunk in chunks:
        pieces.append(chunk)
        size_bytes += len(chunk)
        if size_bytes >= block_bytes:
            yield b"".join(pieces)
            pieces, size_bytes = [], 0
    if pieces:
        yield b"".join(pieces)
