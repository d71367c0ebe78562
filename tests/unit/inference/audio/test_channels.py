"""One speaker per channel, or one mix: decided once, from what is heard."""

import numpy as np
import pytest
from parlance.contracts.calls import ChannelPolicy
from parlance.inference.audio import channels
from parlance.inference.audio.channels import ChannelPlan, ChannelPlanner, Reason, Samples

from tests.unit.inference.audio import sounds


def plan_for(
    *sides: Samples, policy: ChannelPolicy = ChannelPolicy.AUTO, block: int = 16_000
) -> ChannelPlan:
    planner = ChannelPlanner(policy, len(sides))
    stacked = np.stack(sides)
    for start in range(0, stacked.shape[1], block):
        if planner.plan is None:
            planner.feed(stacked[:, start : start + block])
    return planner.finish()


def noise(seed: int, seconds: float = 20.0, level: int = 3_000) -> Samples:
    generator = np.random.default_rng(seed)
    return generator.integers(-level, level, round(seconds * 16_000)).astype(np.int16)


def test_interleaved_pcm_is_taken_apart() -> None:
    left, right = noise(1, 0.1), noise(2, 0.1)

    taken = channels.split(sounds.interleave(left, right), 2)

    assert np.array_equal(taken, np.stack((left, right)))


def test_two_different_sides_are_two_speakers() -> None:
    assert plan_for(noise(1), noise(2)) == ChannelPlan(2, Reason.TWO_SPEAKERS)


def test_the_same_sound_twice_is_one_speaker() -> None:
    assert plan_for(noise(1), noise(1)) == ChannelPlan(1, Reason.SAME_SOUND)


def test_the_same_sound_at_another_level_is_one_speaker() -> None:
    quieter = (noise(1) // 4).astype(np.int16)

    assert plan_for(noise(1), quieter).reason is Reason.SAME_SOUND


def test_a_little_coding_noise_does_not_make_a_second_speaker() -> None:
    other = noise(1) + noise(3, level=200)

    assert plan_for(noise(1), other).reason is Reason.SAME_SOUND


def test_a_silent_side_may_still_speak_later() -> None:
    assert plan_for(noise(1), np.zeros_like(noise(1))).reason is Reason.TWO_SPEAKERS


def test_silence_at_first_does_not_decide() -> None:
    silence = np.zeros(30 * 16_000, np.int16)
    left, right = np.concatenate((silence, noise(1))), np.concatenate((silence, noise(1)))

    assert plan_for(left, right).reason is Reason.SAME_SOUND


def test_a_short_file_is_decided_by_what_it_has() -> None:
    assert plan_for(noise(1, 0.5), noise(1, 0.5)).reason is Reason.SAME_SOUND
    assert plan_for(noise(1, 0.5), noise(2, 0.5)).reason is Reason.TWO_SPEAKERS


def test_clearly_different_sides_are_known_after_three_seconds() -> None:
    planner = ChannelPlanner(ChannelPolicy.AUTO, 2)
    planner.feed(np.stack((noise(1, 3.0), noise(2, 3.0))))

    assert planner.plan is not None


@pytest.mark.parametrize("block", [160, 7_777, 16_000, 999_999])
def test_the_size_of_the_blocks_does_not_matter(block: int) -> None:
    mostly_same = noise(1) + noise(3, level=900)

    assert plan_for(noise(1), mostly_same, block=block) == plan_for(noise(1), mostly_same)


def test_mono_asked_for_is_mono() -> None:
    assert plan_for(noise(1), noise(2), policy=ChannelPolicy.MONO) == ChannelPlan(1, Reason.ASKED)


def test_the_same_sound_twice_is_one_speaker_even_if_sides_are_named() -> None:
    plan = plan_for(noise(1), noise(1), policy=ChannelPolicy.AGENT_LEFT)

    assert plan.channels == 1


def test_surround_sound_is_one_scene() -> None:
    sides = [noise(n, 1.0) for n in range(6)]

    assert plan_for(*sides) == ChannelPlan(1, Reason.MANY_CHANNELS)


def test_mixing_two_full_sides_does_not_overflow() -> None:
    full = np.full((2, 4), 32_767, np.int16)

    mixed = ChannelPlan(1, Reason.ASKED).apply(full)

    assert mixed.tolist() == [[32_767] * 4]


def test_a_plan_of_two_channels_leaves_them_alone() -> None:
    stereo = np.stack((noise(1, 0.1), noise(2, 0.1)))

    assert ChannelPlan(2, Reason.TWO_SPEAKERS).apply(stereo) is stereo
