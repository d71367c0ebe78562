"""The decoders of a process: a template that makes them, tried once before the first file.

The composition roots of API and worker open them; their readiness tells `problem`.
"""

import contextlib
import socket
import struct
from collections.abc import AsyncIterator

import structlog
from parlance.media import host, probe, spawning
from parlance.media.bytesource import MemorySource
from parlance.media.errors import MediaError, SandboxUnavailable
from parlance.media.sniff import Container
from parlance.media.spawning import JobProcess, Spawner
from parlance.runtime.settings import MediaSettings

_log = structlog.get_logger(__name__)

_SILENCE_BYTES = 8_000


class Decoders:
    """The `Spawner` of a process, and why it is of no use if it is not."""

    def __init__(self, spawner: Spawner, problem: str | None) -> None:
        self._spawner = spawner
        self.problem = problem
        """None while files can be read; else a sentence for people."""

    @property
    def allows_unsandboxed(self) -> bool:
        return self._spawner.allows_unsandboxed

    async def spawn(self, theirs: socket.socket) -> JobProcess:
        return await self._spawner.spawn(theirs)


@contextlib.asynccontextmanager
async def open_decoders(settings: MediaSettings) -> AsyncIterator[Decoders]:
    """A process without a sandbox starts all the same: it says so, and refuses files."""
    allows_unsandboxed = settings.decoder_allow_unsandboxed
    async with spawning.open_template(allows_unsandboxed=allows_unsandboxed) as template:
        yield Decoders(template, await find_problem(template))


async def find_problem(spawner: Spawner) -> str | None:
    """Read half a second of silence as any other file. Only a missing sandbox is a problem that
    stays; whatever else goes wrong now may be over when a file comes."""
    try:
        probed = await probe.probe(MemorySource(_build_silence()), Container.WAV, spawner=spawner)
    except SandboxUnavailable as error:
        setting = "PARLANCE_DECODER_ALLOW_UNSANDBOXED"
        _log.error("no audio can be read", reason=str(error), allowed_by=setting)
        return str(error)
    except MediaError as error:
        _log.warning("the decoder could not be tried", reason=str(error))
        return None
    missing = host.find_missing(probed.protections)
    if missing:
        _log.warning("audio is read without the whole sandbox", missing=missing)
    return None


def _build_silence() -> bytes:
    """A WAV of 8 kHz, mono."""
    form = struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16_000, 2, 16)
    data = b"data" + struct.pack("<I", _SILENCE_BYTES) + bytes(_SILENCE_BYTES)
    return b"RIFF" + struct.pack("<I", 4 + 8 + 16 + len(data)) + b"WAVEfmt " + form + data
