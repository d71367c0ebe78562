"""The parent's side of the sandboxed child: starts it, serves its reads, ends it for sure.

`probe` and `decode` are built on it; nobody else uses it.
"""

import asyncio
import contextlib
import dataclasses
import json
import socket
import struct
from collections.abc import AsyncIterator, Collection
from typing import Any

from parlance.media import spawning, wire
from parlance.media.answers import Frame, SandboxReport
from parlance.media.bytesource import ByteSource
from parlance.media.errors import (
    AnswerInvalid,
    DecoderLost,
    DecoderTimedOut,
    SandboxUnavailable,
    SourceTimedOut,
    UndecodableAudio,
)
from parlance.media.limits import MediaLimits
from parlance.media.sniff import Container
from parlance.media.spawning import FreshSpawner, JobProcess, Spawner

_MAX_REQUESTS_WAITING = 8
REQUIRED_PROTECTIONS = ("rlimits", "no_new_privileges", "seccomp")
"""What `child.sandbox` must have put up before a file is read."""


class Child:
    """A running child. `receive` gives its frames in order; its reads are served meanwhile."""

    def __init__(
        self,
        process: JobProcess,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        source: ByteSource,
        *,
        max_read_bytes: int,
        needs_sandbox: bool,
    ) -> None:
        self._needs_sandbox = needs_sandbox
        self._is_admitted = False
        self.protections: tuple[str, ...] = ()
        """What holds around the child, known from the first `receive` on."""
        self._process = process
        self._reader = reader
        self._writer = writer
        self._source = source
        self._requests: asyncio.Queue[tuple[int, int]] = asyncio.Queue(_MAX_REQUESTS_WAITING)
        self._max_read_bytes = max_read_bytes
        self._asked_bytes = 0
        self._is_reading = False
        self._read_at = 0.0
        """When the source last gave the child what it asked for, in the loop's time."""
        self._server = asyncio.create_task(self._serve(), name="media-reads")

    async def receive(self, timeout_seconds: float) -> Frame:
        """The next frame, `timeout_seconds` after the child last got what it needs at the latest.

        Raises DecoderTimedOut, DecoderLost, AnswerInvalid, SandboxUnavailable, SourceTimedOut, or
        what the byte source raised.
        """
        now = asyncio.get_running_loop().time
        asked_at = now()
        receiver = asyncio.create_task(self._receive_frame(), name="media-frames")
        try:
            while (left := max(asked_at, self._read_at) + timeout_seconds - now()) > 0:
                done, _ = await asyncio.wait(
                    (receiver, self._server),
                    timeout=left,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if receiver in done:
                    return receiver.result()
                if self._server in done:
                    self._server.result()  # it only ends with an error: the source's
            # Whose fault is it? A slow store says nothing about the file.
            raise (SourceTimedOut if self._is_reading else DecoderTimedOut)(timeout_seconds)
        finally:
            receiver.cancel()

    async def _receive_frame(self) -> Frame:
        if not self._is_admitted:
            self._admit(await self._read_frame())
        while (frame := await self._read_frame()).kind == wire.REQUEST:
            await self._requests.put(self._parse_request(frame.payload))
        return frame

    def _admit(self, first: Frame) -> None:
        """Nothing is read for a child whose sandbox is not up."""
        report = first.parse(SandboxReport)
        missing = find_missing(report.protections)
        if missing and self._needs_sandbox:
            raise SandboxUnavailable(missing)
        self.protections = report.protections
        self._is_admitted = True

    async def _read_frame(self) -> Frame:
        try:
            head = await self._reader.readexactly(wire.FRAME.size)
            kind, length = wire.FRAME.unpack(head)
            if length > (wire.MAX_PCM_BYTES if kind == wire.PCM else wire.MAX_MESSAGE_BYTES):
                raise AnswerInvalid
            return Frame(kind, await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise DecoderLost(await self._process.wait()) from error

    def _parse_request(self, payload: bytes) -> tuple[int, int]:
        try:
            offset, length = wire.RANGE.unpack(payload)
        except struct.error as error:
            raise AnswerInvalid from error
        is_in_file = offset + length <= self._source.size_bytes
        if not 0 < length <= wire.READ_BLOCK_BYTES or not is_in_file:
            raise UndecodableAudio("The decoder asked for what is not in the file")
        # The child keeps the same count, and cannot be trusted to.
        self._asked_bytes += length
        if self._asked_bytes > self._max_read_bytes:
            raise UndecodableAudio("The decoder asked for the same bytes again and again")
        return offset, length

    async def _serve(self) -> None:
        """Answer reads in order. Separate from receiving: a child that waits for us to take its
        PCM must still get the bytes it asked for ahead."""
        while True:
            offset, length = await self._requests.get()
            self._is_reading = True
            data = await self._source.read(offset, length)
            self._is_reading = False
            self._read_at = asyncio.get_running_loop().time()
            if len(data) != length:
                raise EOFError(f"The source gave {len(data)} of {length} bytes at {offset}")
            self._writer.write(wire.LENGTH.pack(length))
            self._writer.write(data)
            with contextlib.suppress(ConnectionError):  # `receive` tells how the child ended
                await self._writer.drain()

    async def stop(self) -> None:
        """Kill the child and reap it; harmless when it has ended."""
        self._server.cancel()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await asyncio.gather(self._server, self._process.wait(), return_exceptions=True)
        self._process.release()
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


@contextlib.asynccontextmanager
async def open_child(
    mode: str,
    source: ByteSource,
    container: Container,
    limits: MediaLimits,
    spawner: Spawner | None = None,
) -> AsyncIterator[Child]:
    """Start the child on a job; it is dead when the block is left."""
    spawner = spawner or FreshSpawner()
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = await spawner.spawn(theirs)
        try:
            reader, writer = await asyncio.open_unix_connection(
                sock=ours, limit=wire.READ_BLOCK_BYTES
            )
        except BaseException:
            spawning.abandon(process)
            raise
    except BaseException:
        ours.close()
        raise
    job = json.dumps(_build_job(mode, source, container, limits)).encode()
    writer.write(wire.LENGTH.pack(len(job)) + job)
    max_read_bytes = _plan_read_bytes(source, limits)
    child = Child(
        process,
        reader,
        writer,
        source,
        max_read_bytes=max_read_bytes,
        needs_sandbox=not spawner.allows_unsandboxed,
    )
    try:
        yield child
    finally:
        await asyncio.shield(child.stop())


def find_missing(protections: Collection[str]) -> list[str]:
    """The protections that a file must not be read without, and that do not hold."""
    return [name for name in REQUIRED_PROTECTIONS if name not in protections]


def _plan_read_bytes(source: ByteSource, limits: MediaLimits) -> int:
    return int(source.size_bytes * limits.max_read_factor) + (64 << 20)


def _build_job(
    mode: str, source: ByteSource, container: Container, limits: MediaLimits
) -> dict[str, Any]:
    return {
        "mode": mode,
        "demuxer": container.demuxer,
        "size_bytes": source.size_bytes,
        "max_read_bytes": _plan_read_bytes(source, limits),
        "limits": dataclasses.asdict(limits),
    }
