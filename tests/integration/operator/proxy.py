"""A TCP proxy whose connections can be frozen: open, silent, and never closed.

That is what a dead path in a network looks like to a watch, and what no server can be asked to do.
"""

import asyncio
import contextlib
import json
import pathlib
import urllib.parse
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Proxy:
    """Forwards to one address."""

    target: tuple[str, int]
    port: int = 0
    _moving: set[asyncio.Event] = field(default_factory=set)
    _serving: set[asyncio.Task[Any]] = field(default_factory=set)

    def freeze(self) -> None:
        """Connections that stand now move nothing any more; new ones work."""
        for moves in self._moving:
            moves.clear()
        self._moving.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either end closes it or the proxy ends."""
        this = asyncio.current_task()
        assert this is not None
        self._serving.add(this)
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(*self.target)
            with _aborting(upstream_writer):
                await self._forward((reader, writer), (upstream_reader, upstream_writer))
        finally:
            writer.transport.abort()
            self._serving.discard(this)

    async def _forward(self, near: Stream, far: Stream) -> None:
        moves = asyncio.Event()
        moves.set()
        self._moving.add(moves)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(near[0], far[1], moves))
                group.create_task(_pump(far[0], near[1], moves))
        except* (ConnectionError, OSError):
            pass
        finally:
            self._moving.discard(moves)

    async def close(self) -> None:
        """End every connection, frozen ones too, and leave no socket behind."""
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.sleep(0)  # an aborted transport gives its socket back in the next round


@contextlib.contextmanager
def _aborting(writer: asyncio.StreamWriter) -> Iterator[None]:
    """Closed without waiting for what is still to be sent: the other end may be frozen."""
    try:
        yield
    finally:
        writer.transport.abort()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, moves: asyncio.Event
) -> None:
    while data := await reader.read(65536):
        await moves.wait()
        writer.write(data)
        await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def open_proxy(url: str) -> AsyncIterator[Proxy]:
    address = urllib.parse.urlsplit(url)
    assert address.hostname and address.port
    proxy = Proxy((address.hostname, address.port))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()


def write_kubeconfig(original: pathlib.Path, folder: pathlib.Path, port: int) -> pathlib.Path:
    """The same rights, by way of the proxy."""
    document = json.loads(original.read_text())
    document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    path = folder / "proxied.kubeconfig"
    path.write_text(json.dumps(document))
    return path
