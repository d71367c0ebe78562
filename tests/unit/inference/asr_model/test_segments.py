"""Tokens to segments: `t(1.5)` is the token of a timestamp, other numbers are words."""

from collections.abc import Sequence

from asr import segments
from asr.engine import Segment

BEGIN = 1000
WORDS = {1: " Hello", 2: " there.", 3: " Bye", 4: " now.", 5: "."}


def t(seconds: float) -> int:
    return BEGIN + round(seconds / segments.SECONDS_PER_TIMESTAMP)


def parse(tokens: Sequence[int], duration_seconds: float = 10.0) -> list[tuple[str, float, float]]:
    found: tuple[Segment, ...] = segments.parse_segments(
        tokens,
        timestamp_begin=BEGIN,
        duration_seconds=duration_seconds,
        decode=lambda ids: "".join(WORDS[i] for i in ids),
    )
    return [(segment.text, segment.start_seconds, segment.end_seconds) for segment in found]


def test_each_pair_of_timestamps_is_a_segment() -> None:
    tokens = [t(0), 1, 2, t(2.4), t(3), 3, 4, t(5.1)]

    assert parse(tokens) == [("Hello there.", 0.0, 2.4), ("Bye now.", 3.0, 5.1)]


def test_without_timestamps_the_window_is_one_segment() -> None:
    assert parse([1, 2, 3, 4]) == [("Hello there. Bye now.", 0.0, 10.0)]


def test_text_that_was_cut_off_ends_with_the_window() -> None:
    assert parse([t(0), 1, 2, t(2), t(2), 3]) == [("Hello there.", 0.0, 2.0), ("Bye", 2.0, 10.0)]


def test_a_sentence_that_was_cut_off_is_found() -> None:
    def find(tokens: Sequence[int]) -> float | None:
        return segments.find_unfinished(tokens, timestamp_begin=BEGIN, duration_seconds=10.0)

    assert find([t(0), 1, 2, t(2), t(2.5), 3]) == 2.5
    assert find([t(0), 1, 2, t(2)]) is None
    assert find([t(0), 1, 2]) is None  # nothing before it: to ask again would give the same
    assert find([]) is None


def test_times_never_leave_the_window() -> None:
    assert parse([t(0), 1, t(14.8)], duration_seconds=9.5) == [("Hello", 0.0, 9.5)]


def test_times_never_go_back() -> None:
    assert parse([t(4), 1, t(6), t(2), 3, t(1)]) == [("Hello", 4.0, 6.0), ("Bye", 6.0, 6.0)]


def test_a_lone_full_stop_is_no_segment() -> None:
    assert parse([t(0), 5, t(4), t(4), 1, t(5)]) == [("Hello", 4.0, 5.0)]


def test_no_tokens_are_no_segments() -> None:
    assert parse([]) == []
