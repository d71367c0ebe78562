"""PCM to windows for whole calls: deterministic, ordered, flat."""

import itertools
import sys

import numpy as np
import pytest
from parlance.contracts.calls import ChannelPolicy
from parlance.inference.audio.front_end import FrontEnd, FrontEndOptions
from parlance.inference.audio.packer import PackerOptions, Window
from parlance.inference.audio.speech import SpeechOptions

from tests.unit.inference.audio import sounds


def run_front_end(pcm: bytes, channels: int, block_bytes: int) -> tuple[FrontEnd, list[Window]]:
    front_end = FrontEnd(sounds.LoudnessModel(), ChannelPolicy.AUTO, channels)
    windows: list[Window] = []
    for start in range(0, len(pcm), block_bytes):
        windows += front_end.feed(pcm[start : start + block_bytes])
    return front_end, windows + front_end.finish()


def describe(windows: list[Window]) -> list[object]:
    return [(w.index, w.channel, w.pieces, hash(w.samples.tobytes())) for w in windows]


def build_dialogue(seconds: float) -> bytes:
    """Two speakers who take turns of 1 to 12 s."""
    turns = itertools.accumulate(itertools.cycle((3.0, 7.0, 1.0, 12.0, 5.0)))
    edges = list(itertools.takewhile(lambda edge: edge < seconds, turns))
    spans = list(itertools.pairwise(edges))
    left = sounds.build_call(*((a + 0.2, b - 0.3) for a, b in spans[::2]), seconds=seconds)
    right = sounds.build_call(*((a + 0.1, b - 0.4) for a, b in spans[1::2]), seconds=seconds)
    return sounds.interleave(left, right)


@pytest.mark.parametrize("block_bytes", [4 * 100, 4 * 16_000, 4 * 77_777, 1 << 30])
def test_windows_do_not_depend_on_the_size_of_the_blocks(block_bytes: int) -> None:
    pcm = build_dialogue(150.0)

    _, windows = run_front_end(pcm, 2, block_bytes)
    _, expected = run_front_end(pcm, 2, 4 * 16_000)

    assert describe(windows) == describe(expected)
    assert len(windows) > 4


def test_windows_are_numbered_in_the_order_in_which_they_come() -> None:
    _, windows = run_front_end(build_dialogue(300.0), 2, 4 * 16_000)

    assert [window.index for window in windows] == list(range(len(windows)))
    for channel in (0, 1):
        starts = [w.start_seconds for w in windows if w.channel == channel]
        assert starts == sorted(starts)


def test_every_sample_of_speech_is_in_exactly_one_window() -> None:
    seconds = 200.0
    front_end, windows = run_front_end(build_dialogue(seconds), 2, 4 * 16_000)

    for channel, speech in enumerate(front_end.speech):
        count = np.zeros(round(seconds * 16_000), np.int32)
        for piece in (p for w in windows if w.channel == channel for p in w.pieces):
            start = round(piece.call_start_seconds * 16_000)
            count[start : start + round(piece.length_seconds * 16_000)] += 1
        assert count.max() == 1
        for start_seconds, end_seconds in speech.spans:
            assert count[round(start_seconds * 16_000) : round(end_seconds * 16_000)].min() == 1


def test_no_window_is_too_short_for_the_model_wherever_a_call_ends() -> None:
    """Speech that fades out is cut at its quietest point, which is its end: what then still comes
    may be a few milliseconds, in a window of their own."""
    processed_seconds = []
    for hundredths in range(700, 1000):
        sound = sounds.build_call((0, hundredths / 100), seconds=hundredths / 100)
        fading = (sound * np.linspace(1.0, 0.2, len(sound))).astype(np.int16)
        front_end = FrontEnd(
            sounds.LoudnessModel(), ChannelPolicy.AUTO, 1, FrontEndOptions.for_windows(14.8)
        )
        windows = front_end.feed(fading.tobytes()) + front_end.finish()

        assert min(window.length_seconds for window in windows) >= 0.5
        assert windows[-1].end_seconds == pytest.approx(hundredths / 100, abs=0.5)
        processed_seconds += [sum(piece.length_seconds for piece in w.pieces) for w in windows]
    assert min(processed_seconds) < 0.1


def test_a_window_holds_the_sound_of_its_place_in_the_call() -> None:
    pcm = build_dialogue(60.0)
    channels = np.frombuffer(pcm, "<i2").reshape(-1, 2).T

    _, windows = run_front_end(pcm, 2, 4 * 16_000)

    for window in windows:
        for piece in window.pieces:
            at = round(piece.window_start_seconds * 16_000)
            start = round(piece.call_start_seconds * 16_000)
            length = round(piece.length_seconds * 16_000)
            expected = channels[window.channel, start : start + length]
            assert np.array_equal(window.samples[at : at + length], expected)


def test_speech_is_reported_per_channel_in_call_time() -> None:
    left = sounds.build_call((1.0, 3.0), seconds=20.0)
    right = sounds.build_call((5.0, 9.0), (12.0, 13.0), seconds=20.0)

    front_end, _ = run_front_end(sounds.interleave(left, right), 2, 64_000)

    assert [len(speech.spans) for speech in front_end.speech] == [1, 2]
    assert front_end.speech[0].spans[0] == pytest.approx((1.0, 3.0), abs=0.04)
    assert front_end.speech[1].spans[1] == pytest.approx((12.0, 13.0), abs=0.04)
    assert front_end.processed_seconds == 20.0


def test_speech_that_was_cut_for_windows_is_one_span_for_metrics() -> None:
    pcm = sounds.interleave(sounds.build_call((1.0, 80.0), seconds=90.0))

    front_end, windows = run_front_end(pcm, 1, 32_000)

    assert len(windows) >= 3
    assert len(front_end.speech[0].spans) == 1


def test_silence_makes_no_window() -> None:
    front_end, windows = run_front_end(bytes(32_000 * 60), 1, 32_000)

    assert windows == []
    assert front_end.speech[0].spans == ()


def test_no_sound_at_all_makes_no_window() -> None:
    _, windows = run_front_end(b"", 1, 32_000)

    assert windows == []


@pytest.mark.parametrize("samples", [1, 511, 512, 513, 131_071, 131_072, 131_073])
def test_any_length_is_heard_to_its_end(samples: int) -> None:
    front_end, _ = run_front_end(bytes(2 * samples), 1, 1 << 20)

    assert front_end.processed_seconds == samples / 16_000


def test_the_first_window_of_a_monologue_comes_early_and_is_short() -> None:
    front_end = FrontEnd(sounds.LoudnessModel(), ChannelPolicy.AUTO, 1)
    pcm = sounds.interleave(sounds.build_call((0.0, 60.0), seconds=60.0))
    processed_seconds = 0
    windows: list[Window] = []
    while not windows:
        windows = front_end.feed(pcm[processed_seconds * 32_000 : (processed_seconds + 1) * 32_000])
        processed_seconds += 1

    assert processed_seconds <= 9
    assert windows[0].length_seconds <= 8.0


def test_the_same_sound_on_both_sides_is_heard_once() -> None:
    side = sounds.build_call((1.0, 14.0), seconds=15.0)

    front_end, windows = run_front_end(sounds.interleave(side, side), 2, 64_000)

    assert front_end.plan is not None
    assert front_end.plan.channels == 1
    assert {window.channel for window in windows} == {0}


def test_memory_stays_flat_over_hours() -> None:
    front_end = FrontEnd(sounds.LoudnessModel(), ChannelPolicy.AUTO, 2)
    minute = build_dialogue(60.0)
    sizes = []
    for _ in range(60):
        front_end.feed(minute)
        sizes.append(_measure_bytes(front_end))

    assert max(sizes[5:]) <= max(sizes[:5]) * 1.2


def _measure_bytes(front_end: FrontEnd) -> int:
    """All samples that it holds."""
    waiting = sum(sys.getsizeof(block) for block in front_end._waiting)
    tails = sum(channel._tail._samples.nbytes for channel in front_end._channels)
    drafts = sum(channel._packer._draft.length * 2 for channel in front_end._channels)
    return waiting + tails + drafts


def test_options_that_would_lose_sound_are_refused() -> None:
    with pytest.raises(ValueError, match="pad_seconds"):
        FrontEndOptions(packer=PackerOptions(pad_seconds=0.5))
    with pytest.raises(ValueError, match="fit into a window"):
        FrontEndOptions(speech=SpeechOptions(max_speech_seconds=29.0))


@pytest.mark.parametrize("seconds", [10.0, 14.8, 29.0])
def test_shorter_windows_leave_room_for_the_longest_span_and_its_pads(seconds: float) -> None:
    options = FrontEndOptions.for_windows(seconds)

    assert options.packer.max_window_seconds == seconds
    assert options.speech.max_speech_seconds < seconds


def test_the_fingerprint_tells_options_apart_that_cut_differently() -> None:
    usual = FrontEndOptions.for_windows(29.0)

    assert usual.fingerprint == FrontEndOptions.for_windows(29.0).fingerprint
    assert usual.fingerprint != FrontEndOptions.for_windows(14.8).fingerprint
