"""Channels to speakers, and the swap."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parlance.contracts.calls import ChannelPolicy, Role, Segment
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


def test_a_swap_exchanges_roles_and_leaves_keys_and_text() -> None:
    segments = [
        calls.segment("a", 0, channel=0, role=AGENT),
        calls.segment("b", 1, channel=1, role=CUSTOMER),
        calls.segment("c", 2, channel=2),
    ]

    swapped = channels.swap_roles(segments)

    assert [(s.speaker, s.role, s.text) for s in swapped] == [
        ("speaker_0", CUSTOMER, "a"),
        ("speaker_1", AGENT, "b"),
        ("speaker_2", UNKNOWN, "c"),
    ]


def test_a_transcript_is_swapped_with_its_segments() -> None:
    transcript = calls.transcript(calls.segment("a", role=AGENT))

    assert channels.swap_transcript(transcript).segments[0].role is CUSTOMER


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(Role)), max_size=10))
def test_swapping_twice_changes_nothing(given_roles: list[tuple[int, Role]]) -> None:
    role_of = dict(given_roles)  # a speaker has one role
    segments: tuple[Segment, ...] = tuple(
        calls.segment("a", n, channel=channel, role=role_of[channel])
        for n, (channel, _) in enumerate(given_roles)
    )

    assert channels.swap_roles(channels.swap_roles(segments)) == segments
