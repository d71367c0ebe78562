"""Texts over silence that their window leaves out: 2 s of sound, 60 s left out, 3 s of sound."""

import numpy as np
import pytest
from parlance.contracts.tensors import AsrSegment
from parlance.inference.audio.packer import Piece, Window
from parlance.inference.calls import splitting

Part = tuple[float, float, str]


def build_window(*pieces: tuple[float, float, float]) -> Window:
    return Window(0, 0, np.zeros(16_000, np.int16), tuple(Piece(*piece) for piece in pieces))


WINDOW = build_window((0.0, 10.0, 2.0), (2.0, 72.0, 3.0))


def split(start: float, end: float, text: str, window: Window = WINDOW) -> list[Part]:
    recognized = AsrSegment(start_seconds=start, end_seconds=end, text=text)
    parts = splitting.split_at_silences(recognized, window)
    return [(part.start_seconds, part.end_seconds, part.text) for part in parts]


def test_a_text_over_a_long_silence_becomes_two() -> None:
    assert split(0, 4, "one two three four") == [(0, 2, "one two"), (2, 4, "three four")]


def test_a_sentence_end_near_by_is_the_better_place() -> None:
    assert split(0, 4, "Yes. I see it now too") == [(0, 2, "Yes."), (2, 4, "I see it now too")]


@pytest.mark.parametrize("times", [(0.0, 2.0), (2.0, 5.0), (0.5, 1.5)])
def test_a_text_on_one_side_stays_as_it_is(times: tuple[float, float]) -> None:
    assert split(*times, "one two") == [(*times, "one two")]


def test_a_short_silence_is_a_pause() -> None:
    window = build_window((0.0, 10.0, 2.0), (2.0, 14.5, 3.0))

    assert split(0, 4, "one two", window) == [(0, 4, "one two")]


def test_a_little_of_a_text_on_the_other_side_is_inexact_time() -> None:
    assert split(0, 2.1, "one two three") == [(0, 2, "one two three")]
    assert split(1.9, 5, "one two three") == [(2, 5, "one two three")]


def test_a_single_word_goes_where_most_of_it_is() -> None:
    assert split(0.0, 3.0, "Yes.") == [(0, 2, "Yes.")]
    assert split(1.5, 4.0, "Yes.") == [(2, 4, "Yes.")]


def test_every_part_has_words_however_unequal_the_times() -> None:
    assert split(0, 2.3, "one two") == [(0, 2, "one"), (2, 2.3, "two")]


def test_a_text_over_two_silences_becomes_three() -> None:
    window = build_window((0.0, 10.0, 2.0), (2.0, 72.0, 2.0), (4.0, 90.0, 2.0))

    parts = split(0, 6, "one two three four five six", window)

    assert parts == [(0, 2, "one two"), (2, 4, "three four"), (4, 6, "five six")]
