"""A TCP proxy whose connections can be frozen: open, silent, and never closed.

That is what a dead path in a network looks like to a watch, and what no server can be asked to do.
"""

import asyncio
import contextlib
import json
import pathlib
import urllib.parse
from collections.abc import AsyncIterator
from dataclasses import dataclass, field


@dataclass
class Proxy:
    """Forwards to one address."""

    target: tuple[str, int]
    port: int = 0
    _moving: set[asyncio.Event] = field(default_factory=set)

    def freeze(self) -> None:
        """Connections that stand now move nothing any more; new ones work."""
        for moves in self._moving:
            moves.clear()
        self._moving.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(*self.target)
        moves = asyncio.Event()
        moves.set()
        self._moving.add(moves)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, upstream_writer, moves))
                group.create_task(_pump(upstream_reader, writer, moves))
        except* (ConnectionError, OSError):
            pass
        finally:
            self._moving.discard(moves)
            for end in (writer, upstream_writer):
                end.close()


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


def write_kubeconfig(original: pathlib.Path, folder: pathlib.Path, port: int) -> pathlib.Path:
    """The same rights, by way of the proxy."""
    document = json.loads(original.read_text())
    document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    path = folder / "proxied.kubeconfig"
    path.write_text(json.dumps(document))
    return path
