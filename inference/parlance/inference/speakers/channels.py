"""Channels to speakers: the key and role of each channel, and the swap of two roles.

Pure. The worker calls `plan_speakers` when it knows the decoded channels and `swap_roles` when a
person says that agent and customer are the wrong way round. Roles guessed from words live in
`roles`; speakers within one channel are not told apart here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from parlance.contracts.calls import ChannelPolicy, Role, Segment, Transcript

_SWAPPED = {Role.AGENT: Role.CUSTOMER, Role.CUSTOMER: Role.AGENT, Role.UNKNOWN: Role.UNKNOWN}


@dataclass(frozen=True, slots=True)
class ChannelSpeaker:
    """Who is heard on one decoded channel."""

    channel: int
    key: str
    role: Role


def format_speaker_key(number: int) -> str:
    return f"speaker_{number}"


def plan_speakers(policy: ChannelPolicy, channels: int) -> tuple[ChannelSpeaker, ...]:
    """One speaker per decoded channel, in channel order.

    `channels` counts what is transcribed apart: 1 for a mono file, for two equal channels, and for
    everything that the policy mixes down.
    """
    roles = _plan_roles(policy, channels)
    return tuple(
        ChannelSpeaker(channel, format_speaker_key(channel), roles.get(channel, Role.UNKNOWN))
        for channel in range(channels)
    )


def _plan_roles(policy: ChannelPolicy, channels: int) -> dict[int, Role]:
    # With one channel both parties are on it: its single speaker is neither.
    if channels < 2:
        return {}
    match policy:
        case ChannelPolicy.AGENT_LEFT:
            return {0: Role.AGENT, 1: Role.CUSTOMER}
        case ChannelPolicy.AGENT_RIGHT:
            return {0: Role.CUSTOMER, 1: Role.AGENT}
        case _:
            return {}


def apply_roles(segments: Iterable[Segment], roles: Mapping[str, Role]) -> tuple[Segment, ...]:
    """The segments with the roles of `roles`, by speaker key; who is not named keeps theirs."""
    return tuple(
        segment
        if (role := roles.get(segment.speaker, segment.role)) is segment.role
        else segment.model_copy(update={"role": role})
        for segment in segments
    )


def swap_roles(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Agent becomes customer and the other way round; `unknown` stays. Twice is no change.

    Keys stay with their channels: only the meaning was wrong.
    """
    return apply_roles(segments, {segment.speaker: _SWAPPED[segment.role] for segment in segments})


def swap_transcript(transcript: Transcript) -> Transcript:
    """The transcript with agent and customer swapped; analyse it again to swap the metrics."""
    return transcript.model_copy(update={"segments": swap_roles(transcript.segments)})
