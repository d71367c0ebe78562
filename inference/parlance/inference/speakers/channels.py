"""Channels to speakers: the key and role of each channel.

Pure. The worker calls `plan_speakers` when it knows the decoded channels, and `apply_roles` with
what `roles` guesses from words. Speakers within one channel are not told apart here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from parlance.contracts.calls import ChannelPolicy, Role, Segment


@dataclass(frozen=True, slots=True)
class ChannelSpeaker:
    """Who speaks on one decoded channel."""

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
