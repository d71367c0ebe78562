"""Probing an upload: what it is, that it decodes, how long it lasts. Called by the API."""

import dataclasses
from typing import Literal

import pydantic
from parlance.contracts.calls import MediaInfo
from parlance.contracts.problems import WarningCode
from parlance.media import host
from parlance.media.answers import Answer, Codec, SampleRate
from parlance.media.bytesource import ByteSource
from parlance.media.errors import EmptyFile
from parlance.media.limits import MediaLimits
from parlance.media.sniff import Container
from parlance.media.spawning import Spawner

DurationSource = Literal["header", "packets", "decoded"]


class _Probed(Answer):
    """The child's answer for a file that is accepted."""

    codec: Codec
    channels: int = pydantic.Field(ge=1, le=64)
    sample_rate_hz: SampleRate
    duration_seconds: float = pydantic.Field(ge=0)
    duration_source: DurationSource
    duration_estimated: bool
    decoded_seconds_checked: float = pydantic.Field(ge=0)
    truncated: bool


@dataclasses.dataclass(frozen=True, slots=True)
class ProbedMedia:
    """A file that is accepted."""

    info: MediaInfo
    duration_source: DurationSource
    decoded_seconds_checked: float
    """How much of it was really decoded."""
    protections: tuple[str, ...]
    """What the sandbox held before it was read."""

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
    """Probe a file in the sandbox. Raises `MediaError`, or `Retryable` for what says nothing about
    the file; the source's own errors pass through."""
    if source.size_bytes == 0:
        raise EmptyFile
    limits = limits or MediaLimits()
    async with host.open_child("probe", source, container, limits, spawner) as child:
        frame = await child.receive(timeout_seconds)
    found = frame.parse(_Probed, "The file cannot be used")
    info = MediaInfo.model_validate({**found.model_dump(), "container": container.value})
    return ProbedMedia(
        info, found.duration_source, found.decoded_seconds_checked, child.protections
    )
