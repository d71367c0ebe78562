"""Speech that Whisper left at the end of a window."""

from dataclasses import replace

import numpy as np
from asr import tails
from asr.engine import Guard, Segment, Transcript, Window
from asr.options import Options

LOUD = np.tile(np.array([4000, -4000], np.int16), 8000 * 10)  # 10 s


def build_transcript(*segments: tuple[str, float, float]) -> Transcript:
    return Transcript(
        segments=tuple(Segment(text, start, end, ()) for text, start, end in segments),
        avg_logprob=-0.2,
        no_speech_prob=0.0,
        temperature=0.0,
        language="en",
    )


def test_a_loud_rest_is_found() -> None:
    window = Window(LOUD, Options())

    assert tails.find_tail(window, build_transcript(("Hello.", 0.0, 7.0))) == 7.0


def test_a_quiet_rest_is_left() -> None:
    window = Window(np.concatenate([LOUD[: 7 * 16_000], LOUD[: 3 * 16_000] // 100]), Options())

    assert tails.find_tail(window, build_transcript(("Hello.", 0.0, 7.0))) is None


def test_a_short_rest_is_left() -> None:
    assert tails.find_tail(Window(LOUD, Options()), build_transcript(("Hello.", 0.0, 9.0))) is None


def test_without_timestamps_nobody_knows_of_a_rest() -> None:
    window = Window(LOUD, Options(timestamps=False))

    assert tails.find_tail(window, build_transcript(("Hello.", 0.0, 7.0))) is None


def test_a_window_without_text_has_no_rest() -> None:
    assert tails.find_tail(Window(LOUD, Options()), build_transcript()) is None


def test_the_rest_begins_where_the_text_ended() -> None:
    assert len(tails.cut_tail(Window(LOUD, Options()), 7.5).pcm) == 40_000


def test_the_rest_is_put_behind_in_the_time_of_the_window() -> None:
    first, rest = build_transcript(("Hello.", 0.0, 7.0)), build_transcript(("Bye.", 0.5, 2.0))

    whole = tails.append_tail(first, rest, 7.0)

    assert whole.text == "Hello. Bye."
    assert (whole.segments[1].start_seconds, whole.segments[1].end_seconds) == (7.5, 9.0)
    assert (whole.guard, whole.guard_reason) == (Guard.RETRIED, "stopped_early")


def test_a_rest_without_speech_changes_nothing() -> None:
    first = build_transcript(("Hello.", 0.0, 7.0))

    assert tails.append_tail(first, build_transcript(), 7.0) is first


def test_a_sentence_that_was_cut_off_is_heard_again_from_its_start() -> None:
    first = replace(
        build_transcript(("Hello.", 0.0, 4.0), ("I would li", 4.5, 10.0)), unfinished_from=4.5
    )
    assert tails.find_tail(Window(LOUD, Options()), first) == 4.5

    whole = tails.append_tail(first, build_transcript(("I would like a card.", 0.0, 5.0)), 4.5)

    assert whole.text == "Hello. I would like a card."
    assert whole.unfinished_from is None
    assert whole.guard_reason == "stopped_early"
