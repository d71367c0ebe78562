"""A web server that a client's `audio_url` points to."""

import asyncio
import contextlib
from dataclasses import dataclass, field


@dataclass
class Upstream:
    """A web server with one answer for every path."""

    port: int = 0
    status: str = "200 OK"
    headers: list[str] = field(default_factory=list)
    body: bytes = b""
    requests: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            lines = [f"HTTP/1.1 {self.status}", f"Content-Length: {len(self.body)}", *self.headers]
            writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode() + self.body)
            await writer.drain()
        writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/recordings/monday.wav?token=secret"
