"""Stands between a client and the real NATS server, for what the server does not do when asked."""

import asyncio
import contextlib
import urllib.parse
from collections.abc import AsyncIterator

from devstack import nats_server


class Relay:
    """One in front of one server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.accepted: list[asyncio.StreamWriter] = []
        """Towards the client, one for each of its connections."""
        self.ended = 0
        self.is_silent = False
        """Whether connections from now on are accepted and hear nothing."""
        self.is_muted = False
        """Whether the clients' connections stand, and what the server says is lost."""


@contextlib.asynccontextmanager
async def relaying(nats: nats_server.NatsServer) -> AsyncIterator[Relay]:
    address = urllib.parse.urlsplit(nats.url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay.accepted.append(writer)
        if relay.is_silent:
            await reader.read()
        else:
            far_reader, far_writer = await asyncio.open_connection(address.hostname, address.port)
            with contextlib.closing(far_writer):
                await asyncio.gather(pump(reader, far_writer), pump_answers(far_reader, writer))
        writer.close()
        relay.ended += 1

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def pump_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if not relay.is_muted:
                writer.write(data)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        relay = Relay(nats.url.replace(f":{address.port}", f":{port}"))
        yield relay
