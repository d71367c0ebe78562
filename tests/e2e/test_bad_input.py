"""What is refused is refused with its status and code, and leaves nothing anywhere."""

import asyncio
import pathlib
from typing import Any

import pytest

from devstack.api_client import ApiClient
from devstack.stack import Stack
from tests.e2e import observing

pytestmark = pytest.mark.asyncio(loop_scope="session")

JPEG = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffdb") + bytes(2000)


async def take_stock(stack: Stack, client: ApiClient) -> tuple[Any, ...]:
    listed = (await client.get("/api/calls", limit=200)).json()["items"]
    return (
        observing.list_objects(stack),
        await observing.list_jobs(stack),
        {call["id"] for call in listed},
    )


@pytest.mark.parametrize(
    ("content", "name", "status", "code"),
    [
        (b"", "call.mp3", 422, "empty_file"),
        (b"hello, this is no audio at all\n" * 50, "call.mp3", 415, "unsupported_media"),
        (JPEG, "call.wav", 415, "unsupported_media"),
        (b"%PDF-1.7\n" + bytes(5000), "call.wav", 415, "unsupported_media"),
        (b"<html><body>Log in</body></html>", "call.mp3", 415, "unsupported_media"),
        (b"RIFF\x24\x00\x00\x00WAVE" + bytes(60), "call.wav", 422, "undecodable_audio"),
    ],
    ids=["empty", "text", "jpeg", "pdf", "html", "broken wav"],
)
async def test_what_is_not_audio_is_refused_and_leaves_nothing(
    stack: Stack,
    client: ApiClient,
    tmp_path: pathlib.Path,
    content: bytes,
    name: str,
    status: int,
    code: str,
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    before = await take_stock(stack, client)

    answer = await client.upload(path)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["success"] is False
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert await take_stock(stack, client) == before


async def test_an_unknown_key_is_refused_even_behind_the_file(
    stack: Stack, client: ApiClient, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "call.wav"
    path.write_bytes(bytes(100_000))
    before = await take_stock(stack, client)

    async with ApiClient(stack.url, "pk_live_nobody_knows_this") as stranger:
        answer = await stranger.upload(path)

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert await take_stock(stack, client) == before


async def test_missing_fields_are_named(client: ApiClient) -> None:
    answer = await client._http.post("/api/add-calls", files={"note": (None, "x")})

    assert (answer.status_code, answer.json()["code"]) == (422, "audio_required")


async def test_a_file_over_the_limit_is_refused_before_it_is_read(stack: Stack) -> None:
    host, _, port = stack.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /api/add-calls HTTP/1.1\r\nHost: x\r\nContent-Length: 600000000\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    async with asyncio.timeout(10):
        answer = await reader.readuntil(b'"too_large"')
        # The server reads on for a while, so that its answer arrives; this tells it that it did.
        writer.write_eof()
        answer += await reader.read()
    writer.close()

    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"too_large"' in answer


async def test_a_foreign_or_unknown_call_is_not_found(client: ApiClient) -> None:
    answer = await client.get("/api/calls/00000000-0000-7000-8000-000000000000")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
