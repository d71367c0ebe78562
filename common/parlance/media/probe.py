"""Probing an upload: what it is, that it decodes, how long it lasts. Called by the API."""

from typing import Any, Literal

import pydantic
from parlance.contracts.calls import MediaInfo
from parlance.contracts.problems import WarningCode
from parlance.media import host, wire
from parlance.media.bytesource import ByteSource
from parlance.media.errors import EmptyFile, UndecodableAudio, build_error
from parlance.media.limits import MediaLimits
from parlance.media.sniff import Container
from parlance.media.spawning import Spawner


class ProbedMedia(pydantic.BaseModel):
    """The answer for a file that is accepted."""

    model_config = pydantic.ConfigDict(frozen=True)

    info: MediaInfo
    duration_source: Literal["header", "packets", "decoded"]
    decoded_seconds_checked: float
    """How much of it was really decoded."""
    protections: tuple[str, ...]
    """What the sandbox held while it was read."""

    @property
    def warnings(self) -> tuple[WarningCode, ...]:
        """Codes for the `warnings` member of the 201."""
        found = []
        if self.info.truncated:
            found.append(WarningCode.TRUNCATED_AUDIO)
        if self.info.duration_estimated:
            found.append(WarningCode.DURATION_ESTIMATED)
        return tuple(found)


async def probe(
    source: ByteSource,
    container: Container,
    limits: MediaLimits | None = None,
    timeout_seconds: float = 20.0,
    spawner: Spawner | None = None,
) -> ProbedMedia:
    """Probe a file in the sandbox. Raises `MediaError`; the source's own errors pass through."""
    if source.size_bytes == 0:
        raise EmptyFile
    limits = limits or MediaLimits()
    async with host.open_child("probe", source, container, limits, spawner) as child:
        frame = await child.receive(timeout_seconds)
    return _parse_answer(frame, container)


def _parse_answer(frame: host.Frame, container: Container) -> ProbedMedia:
    """The child is not trusted either: its answer is checked like any other input."""
    if frame.kind != wire.MESSAGE:
        raise UndecodableAudio("The decoder's answer is not understood")
    message = frame.parse()
    if message.get("kind") == "error":
        raise build_error(str(message.get("code")), _sentence(message))
    try:
        info = MediaInfo.model_validate({**message, "container": container.value})
        return ProbedMedia.model_validate({**message, "info": info})
    except pydantic.ValidationError as error:
        raise UndecodableAudio("The decoder's answer is not understood") from error


def _sentence(message: dict[str, Any]) -> str:
    return f"The file cannot be used: {message.get('detail', '')}"
