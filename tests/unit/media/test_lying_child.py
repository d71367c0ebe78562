"""What the parent believes of a child that a file has taken over: it keeps the limits by itself."""

import asyncio
import json
import socket
from collections.abc import Iterable

import pytest
from parlance.media import decode, wire
from parlance.media.bytesource import MemorySource
from parlance.media.errors import AudioTooLong, MediaError, UndecodableAudio
from parlance.media.limits import MediaLimits
from parlance.media.sniff import Container

LIMITS = MediaLimits(max_seconds=2.0, max_read_factor=0.0)
SOURCE = MemorySource(bytes(wire.READ_BLOCK_BYTES))
SECOND = bytes(wire.BLOCK_FRAMES * wire.BYTES_PER_SAMPLE)


def frame(kind: bytes, payload: bytes) -> bytes:
    return wire.FRAME.pack(kind, len(payload)) + payload


def stream_info(channels: int = 1) -> bytes:
    info = {"codec": "pcm", "channels": channels, "sample_rate_hz": 8000, "protections": []}
    return frame(wire.MESSAGE, json.dumps(info).encode())


REQUEST = frame(wire.REQUEST, wire.RANGE.pack(0, wire.READ_BLOCK_BYTES))


class ScriptedChild:
    """Says what it was told to say, whatever it is asked; also its own spawner."""

    def __init__(self, says: Iterable[bytes]) -> None:
        self._says = says
        self._ended = asyncio.Event()

    async def spawn(self, theirs: socket.socket) -> "ScriptedChild":
        reader, writer = await asyncio.open_unix_connection(sock=theirs.dup())
        self._tasks = asyncio.gather(self._talk(writer), self._swallow(reader))
        return self

    async def _talk(self, writer: asyncio.StreamWriter) -> None:
        try:
            for word in self._says:
                writer.write(word)
                await writer.drain()
            await self._ended.wait()
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()

    async def _swallow(self, reader: asyncio.StreamReader) -> None:
        try:
            while await reader.read(1 << 16):
                pass
        except ConnectionError:
            pass

    def kill(self) -> None:
        self._ended.set()
        self._tasks.cancel()

    async def wait(self) -> int:
        await asyncio.gather(self._tasks, return_exceptions=True)
        return -9

    def release(self) -> None:
        pass


@pytest.mark.parametrize(
    ("says", "error"),
    [
        ([stream_info(), *[frame(wire.PCM, SECOND)] * 20], AudioTooLong),
        ([stream_info(), frame(wire.PCM, b"")], UndecodableAudio),
        ([stream_info(), frame(wire.PCM, b"odd")], UndecodableAudio),
        ([stream_info(channels=9)], UndecodableAudio),
        ([REQUEST] * 200, UndecodableAudio),
        ([frame(wire.REQUEST, wire.RANGE.pack(0, 0))], UndecodableAudio),
        ([frame(wire.REQUEST, wire.RANGE.pack(1, wire.READ_BLOCK_BYTES))], UndecodableAudio),
        ([frame(wire.MESSAGE, b"[]")], UndecodableAudio),
        ([wire.FRAME.pack(wire.PCM, wire.MAX_PCM_BYTES + 1)], UndecodableAudio),
    ],
    ids=[
        "more than the longest file",
        "nothing, again and again",
        "half a sample",
        "too many channels",
        "the same bytes again and again",
        "no bytes",
        "bytes behind the end",
        "another kind of message",
        "a block without end",
    ],
)
async def test_a_child_that_does_not_keep_to_the_rules_is_ended(
    says: list[bytes], error: type[MediaError]
) -> None:
    child = ScriptedChild(says)

    with pytest.raises(error):
        async with decode.open_decoder(SOURCE, Container.WAV, LIMITS, 5.0, child) as decoder:
            async for _ in decoder:
                pass
