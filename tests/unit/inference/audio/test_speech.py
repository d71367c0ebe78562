"""Hysteresis over probabilities, frame by frame (32 ms each)."""

import pytest
from parlance.inference.audio.speech import Span, SpeechOptions, SpeechTracker

FRAME = 512


def track(
    probabilities: list[float],
    energies: list[float] | None = None,
    options: SpeechOptions | None = None,
    block: int | None = None,
) -> list[Span]:
    tracker = SpeechTracker(options or SpeechOptions())
    energies = energies or [1.0] * len(probabilities)
    size = block or len(probabilities)
    spans: list[Span] = []
    for start in range(0, len(probabilities), size):
        end = start + size
        spans += tracker.feed(probabilities[start:end], energies[start:end])
    return spans + tracker.finish(len(probabilities) * FRAME)


def test_speech_is_from_its_first_to_its_last_frame() -> None:
    spans = track([0.0] * 10 + [0.9] * 20 + [0.0] * 20)

    assert spans == [Span(10 * FRAME, 30 * FRAME)]


def test_a_short_pause_does_not_end_speech() -> None:
    spans = track([0.9] * 10 + [0.0] * 7 + [0.9] * 10 + [0.0] * 20)

    assert spans == [Span(0, 27 * FRAME)]


def test_a_pause_of_a_quarter_of_a_second_does() -> None:
    spans = track([0.9] * 10 + [0.0] * 8 + [0.9] * 10 + [0.0] * 20)

    assert spans == [Span(0, 10 * FRAME), Span(18 * FRAME, 28 * FRAME)]


def test_between_the_thresholds_speech_goes_on_but_does_not_begin() -> None:
    spans = track([0.4] * 10 + [0.9] * 5 + [0.4] * 30 + [0.0] * 20)

    assert spans == [Span(10 * FRAME, 45 * FRAME)]


def test_a_click_is_not_speech() -> None:
    assert track([0.0] * 10 + [0.9] * 3 + [0.0] * 20) == []


def test_speech_at_the_end_is_closed_there() -> None:
    assert track([0.0] * 10 + [0.9] * 20) == [Span(10 * FRAME, 30 * FRAME)]


def test_the_last_span_does_not_reach_behind_the_recording() -> None:
    tracker = SpeechTracker(SpeechOptions())
    tracker.feed([0.9] * 20, [1.0] * 20)

    assert tracker.finish(20 * FRAME - 100) == [Span(0, 20 * FRAME - 100)]


def test_long_speech_is_cut_at_its_quietest_point() -> None:
    options = SpeechOptions(first_max_speech_seconds=3.2, first_search_seconds=1.6)
    energies = [5.0] * 200
    energies[70] = energies[71] = energies[72] = 1.0

    spans = track([0.9] * 150 + [0.0] * 50, energies, options)

    assert spans == [Span(0, 71 * FRAME, is_cut=True), Span(71 * FRAME, 150 * FRAME)]


def test_a_quiet_point_that_is_too_early_is_not_taken() -> None:
    options = SpeechOptions(first_max_speech_seconds=3.2, first_search_seconds=1.6)
    energies = [5.0] * 200
    energies[10] = 0.0
    energies[80] = 3.0

    spans = track([0.9] * 150 + [0.0] * 50, energies, options)

    assert 50 * FRAME < spans[0].end_sample <= 100 * FRAME


def test_only_the_first_span_is_cut_early() -> None:
    spans = track([0.9] * 1_000 + [0.0] * 50)

    lengths = [(span.end_sample - span.start_sample) / 16_000 for span in spans]
    assert lengths[0] <= 7.6
    assert lengths[1] > 15
    assert sum(lengths) == pytest.approx(32.0)


def test_no_span_is_longer_than_the_longest() -> None:
    spans = track([0.9] * 20_000)

    assert max(span.end_sample - span.start_sample for span in spans) <= 28.0 * 16_000
    assert spans[-1].end_sample == 20_000 * FRAME


@pytest.mark.parametrize("block", [1, 7, 256])
def test_the_size_of_the_blocks_does_not_matter(block: int) -> None:
    probabilities = [abs((i * 37 % 101) / 101 - 0.2) for i in range(3_000)]
    energies = [float(i * 53 % 89) for i in range(3_000)]

    assert track(probabilities, energies, block=block) == track(probabilities, energies)
