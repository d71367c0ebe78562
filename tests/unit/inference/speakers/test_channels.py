"""Channels to speakers."""

import pytest
from parlance.contracts.calls import ChannelPolicy, Role
from parlance.inference.speakers import channels

from tests.unit.inference.analysis import calls

AGENT, CUSTOMER, UNKNOWN = Role.AGENT, Role.CUSTOMER, Role.UNKNOWN


@pytest.mark.parametrize(
    ("policy", "count", "roles"),
    [
        (ChannelPolicy.AGENT_LEFT, 2, [AGENT, CUSTOMER]),
        (ChannelPolicy.AGENT_RIGHT, 2, [CUSTOMER, AGENT]),
        (ChannelPolicy.AGENT_LEFT, 3, [AGENT, CUSTOMER, UNKNOWN]),
        (ChannelPolicy.AGENT_LEFT, 1, [UNKNOWN]),
        (ChannelPolicy.AUTO, 2, [UNKNOWN, UNKNOWN]),
        (ChannelPolicy.AUTO, 1, [UNKNOWN]),
        (ChannelPolicy.MONO, 1, [UNKNOWN]),
        (ChannelPolicy.AUTO, 0, []),
    ],
)
def test_each_channel_is_a_speaker_with_the_role_of_the_policy(
    policy: ChannelPolicy, count: int, roles: list[Role]
) -> None:
    speakers = channels.plan_speakers(policy, count)

    assert [speaker.role for speaker in speakers] == roles
    assert [speaker.key for speaker in speakers] == [f"speaker_{n}" for n in range(count)]
    assert [speaker.channel for speaker in speakers] == list(range(count))


def test_roles_are_applied_by_speaker_key() -> None:
    segments = [calls.segment("a", channel=0), calls.segment("b", channel=1, role=CUSTOMER)]

    applied = channels.apply_roles(segments, {"speaker_0": AGENT})

    assert [segment.role for segment in applied] == [AGENT, CUSTOMER]
