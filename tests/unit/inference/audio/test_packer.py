"""Spans to windows, and times back to the call."""

import numpy as np
import pytest
from parlance.inference.audio.packer import (
    AudioTail,
    ChannelPacker,
    PackerOptions,
    Piece,
    Sound,
    Window,
)
from parlance.inference.audio.speech import Span

RATE = 16_000
NO_FIRST = PackerOptions(first_min_seconds=29, first_max_seconds=29, first_max_extent_seconds=90)
"""As all windows but the first of a channel."""


def build_tail(seconds: float) -> AudioTail:
    tail = AudioTail()
    tail.append((np.arange(round(seconds * RATE)) // 100).astype(np.int16))
    return tail


def pack(*spans: tuple[float, float], options: PackerOptions = NO_FIRST) -> list[Window]:
    tail = build_tail(max(end for _, end in spans) + 5)
    packer = ChannelPacker(options, channel=0)
    sounds: list[Sound] = []
    for start, end in spans:
        sounds += packer.add(Span(round(start * RATE), round(end * RATE)), tail)
    sounds += packer.finish()
    return [sound.build_window(index) for index, sound in enumerate(sounds)]


def test_a_span_keeps_a_quarter_of_a_second_around_it() -> None:
    (window,) = pack((1.0, 3.0))

    assert window.pieces == (Piece(0.0, 0.75, 2.5),)
    assert (window.start_seconds, window.end_seconds) == (0.75, 3.25)
    assert window.samples[0] == 0.75 * RATE // 100


def test_nothing_is_taken_from_before_the_call() -> None:
    (window,) = pack((0.1, 3.0))

    assert window.pieces == (Piece(0.0, 0.0, 3.25),)


def test_silence_between_spans_is_taken_out() -> None:
    (window,) = pack((1.0, 3.0), (10.0, 12.0))

    assert window.pieces == (Piece(0.0, 0.75, 2.5), Piece(2.5, 9.75, 2.5))
    assert window.length_seconds == 5.0


def test_pads_of_neighbours_do_not_repeat_sound() -> None:
    (window,) = pack((1.0, 3.0), (3.3, 5.0))

    assert window.length_seconds == pytest.approx(5.25 - 0.75)
    assert np.all(np.diff(window.samples) >= 0)


def test_a_window_takes_what_fits() -> None:
    windows = pack((0, 12), (13, 25), (26, 38), (39, 40))

    assert [(w.start_seconds, w.end_seconds) for w in windows] == [(0, 25.25), (25.75, 40.25)]


def test_no_window_is_longer_than_29_seconds() -> None:
    windows = pack(*((i * 3.0, i * 3.0 + 2.2) for i in range(100)))

    assert max(w.length_seconds for w in windows) <= 29.0
    assert min(w.length_seconds for w in windows[:-1]) > 25.0


def test_a_window_does_not_reach_over_a_minute_and_a_half() -> None:
    windows = pack((0, 1), (60, 61), (120, 121))

    assert [len(w.pieces) for w in windows] == [2, 1]


def test_a_cut_span_goes_on_without_repeating_sound() -> None:
    tail = build_tail(60)
    packer = ChannelPacker(NO_FIRST, channel=0)

    done = packer.add(Span(RATE, 20 * RATE, is_cut=True), tail)
    done += packer.add(Span(20 * RATE, 40 * RATE), tail)
    done += packer.finish()

    first, second = (sound.build_window(0) for sound in done)
    assert first.end_seconds == second.start_seconds == 20.0


def test_the_first_window_ends_at_a_pause_after_three_seconds() -> None:
    windows = pack((0, 1.5), (2, 4), (5, 6), options=PackerOptions())

    assert [(w.start_seconds, w.end_seconds) for w in windows] == [(0, 4.25), (4.75, 6.25)]


def test_the_first_window_takes_no_long_span_on_top() -> None:
    windows = pack((0, 1.5), (2, 9), options=PackerOptions())

    assert windows[0].end_seconds == 1.75


def test_the_first_window_does_not_wait_long_for_more() -> None:
    tail = build_tail(20)
    packer = ChannelPacker(PackerOptions(), channel=0)
    packer.add(Span(0, RATE), tail)

    assert packer.advance(9 * RATE) == []
    assert len(packer.advance(11 * RATE)) == 1


def test_times_in_a_window_are_mapped_to_the_call() -> None:
    (window,) = pack((1.0, 3.0), (10.0, 12.0))

    assert window.to_call_seconds(0.0) == 0.75
    assert window.to_call_seconds(1.0) == 1.75
    assert window.to_call_seconds(3.0) == 10.25
    assert window.to_call_seconds(4.9) == pytest.approx(12.15)


def test_where_pieces_meet_an_end_belongs_to_the_first_and_a_start_to_the_second() -> None:
    (window,) = pack((1.0, 3.0), (10.0, 12.0))

    assert window.to_call_seconds(2.5, is_end=True) == 3.25
    assert window.to_call_seconds(2.5) == 9.75


def test_times_outside_of_a_window_are_clipped_to_it() -> None:
    (window,) = pack((1.0, 3.0), (10.0, 12.0))

    assert window.to_call_seconds(-1.0) == 0.75
    assert window.to_call_seconds(30.0, is_end=True) == 12.25


def test_mapping_never_goes_backwards() -> None:
    (window,) = pack(*((i * 2.0, i * 2.0 + 1.0) for i in range(10)))
    steps = [n / 100 for n in range(round(window.length_seconds * 100))]

    mapped = [window.to_call_seconds(step) for step in steps]

    assert mapped == sorted(mapped)


def test_the_tail_forgets_and_still_knows_its_place() -> None:
    tail = build_tail(10)
    tail.forget_before(4 * RATE)

    assert tail.end_sample == 10 * RATE
    assert tail.read(5 * RATE, 6 * RATE)[0] == 5 * RATE // 100
