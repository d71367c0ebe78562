"""What the parent believes of a child that a file has taken over: it keeps the limits by itself."""

import asyncio
import contextlib
import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parlance.media import decode, probe, wire
from parlance.media.bytesource import MemorySource
from parlance.media.errors import (
    AnswerInvalid,
    AudioTooLong,
    MediaError,
    SandboxUnavailable,
    UndecodableAudio,
)
from parlance.media.limits import MediaLimits
from parlance.media.sniff import Container

LIMITS = MediaLimits(max_seconds=2.0, max_read_factor=0.0)
SOURCE = MemorySource(bytes(wire.READ_BLOCK_BYTES))
SECOND = bytes(wire.BLOCK_FRAMES * wire.BYTES_PER_SAMPLE)


def frame(kind: bytes, payload: bytes) -> bytes:
    return wire.FRAME.pack(kind, len(payload)) + payload


def message(**values: object) -> bytes:
    return frame(wire.MESSAGE, json.dumps(values).encode())


def stream_info(**values: object) -> bytes:
    usual = {"codec": "pcm", "channels": 1, "sample_rate_hz": 8000}
    return message(**{**usual, **values})


def end(**values: object) -> bytes:
    usual = {"frames": 0, "packets": 1, "corrupt_packets": 0, "truncated": False}
    return message(**{**usual, **values})


def report(*protections: str) -> bytes:
    return message(kind="sandbox", protections=protections)


REPORT = report("rlimits", "no_new_privileges", "seccomp")
REQUEST = frame(wire.REQUEST, wire.RANGE.pack(0, wire.READ_BLOCK_BYTES))


class ScriptedChild:
    """Says what it was told to say, whatever it is asked; also its own spawner."""

    def __init__(
        self, *says: bytes, allows_unsandboxed: bool = False, leaves: bool = False
    ) -> None:
        self._says = says
        self._leaves = leaves
        self.allows_unsandboxed = allows_unsandboxed
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
            if not self._leaves:
                await self._ended.wait()
        except ConnectionError:
            pass
        finally:
            writer.close()

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


async def drain(child: ScriptedChild, source: MemorySource = SOURCE) -> None:
    async with decode.open_decoder(source, Container.WAV, LIMITS, 5.0, child) as decoder:
        async for _ in decoder:
            pass


@pytest.mark.parametrize(
    ("says", "error"),
    [
        ([stream_info(), *[frame(wire.PCM, SECOND)] * 20], AudioTooLong),
        ([stream_info(), frame(wire.PCM, b"")], AnswerInvalid),
        ([stream_info(), frame(wire.PCM, b"odd")], AnswerInvalid),
        ([stream_info(channels=9)], AnswerInvalid),
        ([REQUEST] * 200, UndecodableAudio),
        ([frame(wire.REQUEST, wire.RANGE.pack(0, 0))], UndecodableAudio),
        ([frame(wire.REQUEST, wire.RANGE.pack(1, wire.READ_BLOCK_BYTES))], UndecodableAudio),
        ([frame(wire.MESSAGE, b"[]")], AnswerInvalid),
        ([wire.FRAME.pack(wire.PCM, wire.MAX_PCM_BYTES + 1)], AnswerInvalid),
        ([frame(wire.MESSAGE, b"{")], AnswerInvalid),
        ([frame(wire.MESSAGE, b"\xff\xfe{}")], AnswerInvalid),
        ([frame(wire.MESSAGE, b"[" * 60_000)], AnswerInvalid),
        ([frame(wire.MESSAGE, b"9" * 60_000)], AnswerInvalid),
        ([frame(wire.REQUEST, b"short")], AnswerInvalid),
        ([stream_info(), frame(b"?", b"")], AnswerInvalid),
        ([stream_info(codec="a\0b")], AnswerInvalid),
        ([stream_info(sample_rate_hz=0)], AnswerInvalid),
        ([stream_info(header_seconds=1e999)], AnswerInvalid),
        ([stream_info(), frame(wire.PCM, SECOND), end(frames=16_001)], AnswerInvalid),
        ([stream_info(), end(frames=-1)], AnswerInvalid),
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
        "half a message",
        "a message in no encoding",
        "a message too deep to read",
        "a number too long to read",
        "half a request",
        "a frame of no kind",
        "a codec that no database takes",
        "no sample rate",
        "a header without end",
        "more sound than it sent",
        "less than no sound",
    ],
)
async def test_a_child_that_does_not_keep_to_the_rules_is_ended(
    says: list[bytes], error: type[MediaError]
) -> None:
    with pytest.raises(error) as caught:
        await drain(ScriptedChild(REPORT, *says))

    assert type(caught.value) is error
    assert "\0" not in str(caught.value)


@pytest.mark.parametrize(
    "says",
    [frame(wire.MESSAGE, b"{"), message(codec="pcm", channels=1, duration_seconds=-1)],
    ids=["half a message", "less than no time"],
)
async def test_a_probe_takes_no_answer_that_breaks_the_rules(says: bytes) -> None:
    with pytest.raises(AnswerInvalid):
        await probe.probe(SOURCE, Container.WAV, spawner=ScriptedChild(REPORT, says))


async def test_what_a_child_gives_as_its_reason_can_be_shown_and_stored() -> None:
    child = ScriptedChild(REPORT, message(kind="error", detail="a\0b\x1b[31m\ud800" + 9999 * "x"))

    with pytest.raises(UndecodableAudio) as caught:
        await drain(child)

    assert str(caught.value).startswith("Decoding ended: a?b?[31m?xxx")
    assert len(str(caught.value)) < 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=3,
)
FIELDS = st.sampled_from(
    ["kind", "codec", "channels", "sample_rate_hz", "header_seconds", "frames"]
)
MESSAGES = st.one_of(
    st.dictionaries(FIELDS, JSON).map(lambda values: stream_info(**values)),
    st.dictionaries(FIELDS, JSON).map(lambda values: end(**values)),
    st.builds(frame, st.sampled_from([wire.REQUEST, wire.PCM, wire.MESSAGE, b"?"]), st.binary()),
    st.binary(),
    st.sampled_from([stream_info(), frame(wire.PCM, SECOND), REQUEST]),
)


@given(st.lists(MESSAGES, max_size=5))
def test_whatever_a_child_says_only_errors_of_this_floor_come_out(says: list[bytes]) -> None:
    with contextlib.suppress(MediaError):
        asyncio.run(drain(ScriptedChild(REPORT, *says, leaves=True)))


class CountedSource(MemorySource):
    """Knows how often it was read."""

    reads = 0

    async def read(self, offset: int, length: int) -> bytes:
        self.reads += 1
        return await super().read(offset, length)


@pytest.mark.parametrize(
    ("held", "missing"),
    [
        (["rlimits", "no_new_privileges"], ("seccomp",)),
        (["rlimits", "no_new_privileges", "network_namespace"], ("seccomp",)),
        ([], ("rlimits", "no_new_privileges", "seccomp")),
    ],
)
async def test_no_byte_is_read_for_a_child_without_its_sandbox(
    held: list[str], missing: tuple[str, ...]
) -> None:
    source = CountedSource(bytes(wire.READ_BLOCK_BYTES))

    with pytest.raises(SandboxUnavailable) as caught:
        await drain(ScriptedChild(report(*held), REQUEST, stream_info()), source)

    assert caught.value.missing == missing
    assert source.reads == 0


async def test_no_byte_is_read_for_a_child_that_says_nothing_of_its_sandbox() -> None:
    source = CountedSource(bytes(wire.READ_BLOCK_BYTES))

    with pytest.raises(AnswerInvalid):
        await drain(ScriptedChild(REQUEST, stream_info()), source)

    assert source.reads == 0


async def test_a_child_without_its_sandbox_may_read_where_that_is_allowed() -> None:
    source = CountedSource(bytes(wire.READ_BLOCK_BYTES))
    child = ScriptedChild(report("rlimits"), REQUEST, stream_info(), end(), allows_unsandboxed=True)

    await drain(child, source)

    assert source.reads == 1
