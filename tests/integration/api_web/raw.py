"""Uploads written to the socket by hand, for clients that no HTTP library imitates."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import prometheus_client

from tests.integration.api_web.support import Api

FILE_HEAD = b'--x\r\nContent-Disposition: form-data; name="call"; filename="a.wav"\r\n\r\n'


@contextlib.asynccontextmanager
async def connect(api: Api) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*api.url.removeprefix("http://").split(":"))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def build_head(api: Api, key: str | None, *headers: str) -> bytes:
    """Of an upload."""
    lines = [
        "POST /api/add-calls HTTP/1.1",
        f"Host: {api.url.removeprefix('http://')}",
        *([f"X-Api-Key: {key}"] if key else []),
        "Content-Type: multipart/form-data; boundary=x",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def count_running() -> float | None:
    """Uploads that hold a place."""
    return prometheus_client.REGISTRY.get_sample_value("parlance_intake_running")
