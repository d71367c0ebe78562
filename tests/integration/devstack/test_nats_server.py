"""The NATS server: JetStream whose acknowledged messages outlive a crash."""

import asyncio
import pathlib
import urllib.parse

import nats
import nats.js.errors
import pytest

from devstack import guard, nats_server


async def _publish(url: str, words: list[str]) -> None:
    client = await nats.connect(url)
    stream = client.jetstream()
    await stream.add_stream(name="WORDS", subjects=["words"])
    for word in words:
        await stream.publish("words", word.encode())
    await client.close()


async def _count(url: str) -> int:
    client = await nats.connect(url)
    try:
        return (await client.jetstream().stream_info("WORDS")).state.messages
    finally:
        await client.close()


async def test_messages_outlive_a_crash(tmp_path: pathlib.Path) -> None:
    async with nats_server.open_nats(tmp_path) as server:
        await _publish(server.url, ["one", "two", "three"])

        await server.process.kill()
        await server.process.start()

        assert await _count(server.url) == 3


async def test_messages_outlive_the_server(tmp_path: pathlib.Path) -> None:
    async with nats_server.open_nats(tmp_path) as server:
        await _publish(server.url, ["one", "two"])

    async with nats_server.open_nats(tmp_path) as server:
        assert await _count(server.url) == 2


async def test_wiping_loses_everything_but_the_address(tmp_path: pathlib.Path) -> None:
    async with nats_server.open_nats(tmp_path) as server:
        await _publish(server.url, ["one"])

        await server.wipe()

        with pytest.raises(nats.js.errors.NotFoundError):
            await _count(server.url)


async def test_strangers_are_refused(tmp_path: pathlib.Path) -> None:
    async with nats_server.open_nats(tmp_path) as server:
        address = urllib.parse.urlsplit(server.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        await reader.readline()
        writer.write(b'CONNECT {"user":"parlance","pass":"wrong"}\r\nPING\r\n')

        answer = await reader.readline()

        assert b"Authorization Violation" in answer
        writer.close()
        await writer.wait_closed()


async def test_nothing_is_left_running(tmp_path: pathlib.Path) -> None:
    async with nats_server.open_nats(tmp_path) as server:
        family = guard.list_family(server.process.pid)

    assert family
    assert not guard.list_living(family)
