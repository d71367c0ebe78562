"""From aligned tokens to words with times."""

from asr import words
from asr.engine import Segment
from asr.words import Alignment

SEGMENTS = (Segment("Hello there.", 0.0, 1.0, (1, 2, 3)), Segment("Bye.", 1.0, 2.0, (4,)))
WRITTEN = ((" Hello", 1), (" there.", 2), (" Bye.", 1))
# Token 0 is reached at frame 5, 1 at 10, 2 at 20, 3 at 50, the end at 70.
PAIRS = ((0, 5), (0, 6), (1, 10), (2, 20), (2, 30), (3, 50), (4, 70))


def test_words_go_to_their_segments_with_their_times() -> None:
    alignment = Alignment(PAIRS, (0.9, 0.8, 0.6, 0.5))

    first, second = words.add_words(SEGMENTS, WRITTEN, alignment)

    assert [(w.text, w.start_seconds, w.end_seconds) for w in first.words] == [
        ("Hello", 0.1, 0.2),
        ("there.", 0.2, 1.0),
    ]
    assert [(w.text, w.start_seconds, w.end_seconds) for w in second.words] == [("Bye.", 1.0, 1.4)]


def test_a_words_probability_is_the_mean_of_its_tokens() -> None:
    alignment = Alignment(PAIRS, (0.9, 0.8, 0.6, 0.5))

    first, _ = words.add_words(SEGMENTS, WRITTEN, alignment)

    assert [round(word.probability, 3) for word in first.words] == [0.9, 0.7]


def test_words_beyond_the_alignment_are_left_out() -> None:
    alignment = Alignment(PAIRS[:3], (0.9, 0.8))

    first, second = words.add_words(SEGMENTS, WRITTEN, alignment)

    assert [word.text for word in first.words] == ["Hello"]
    assert second.words == ()


def test_no_text_has_no_words() -> None:
    assert words.add_words((), (), Alignment((), ())) == ()
