"""Who holds the floor: stretches, turns, interruptions and answers, from voice activity. Pure.

A *stretch* is one speaker's voice joined over pauses below 1 s. A *backchannel* is a stretch of at
most 1 s inside a longer one of somebody else ("mm-hm"). A *turn* is a row of stretches of one
speaker, backchannels aside, with nobody else's stretch starting in between and no pause of 3 s.
Definitions with examples: docs/reference/insights.md.
"""

import bisect
from collections.abc import Sequence
from typing import NamedTuple

from parlance.inference.analysis import spans
from parlance.inference.analysis.documents import Track

STRETCH_PAUSE_MS = 1000
"""A speaker who is silent for this long has stopped."""
SILENCE_MS = 3000
"""Dead air: ends a turn and is listed as a silence."""
BACKCHANNEL_MS = 1000
CUT_IN_MS = 300
"""A start this close to the other's end is a quick answer, not an interruption."""
HELD_MS = 1000
"""An interruption lasts at least this long."""
YIELD_MS = 1000
"""And the other gives way at most this long after it began."""


class Stretch(NamedTuple):
    """Speech of one speaker without a real pause. Ordered by time."""

    start: int
    end: int
    track: int


class Cut(NamedTuple):
    """Track `by` took the floor from track `of`."""

    start: int
    by: int
    of: int


class Floor(NamedTuple):
    """What the tracks of a call amount to. Times in milliseconds, all in order of start."""

    turns: tuple[Stretch, ...]
    cuts: tuple[Cut, ...]
    answers: tuple[tuple[int, int], ...]
    """(track that answers, milliseconds it took)."""


def plan_floor(tracks: Sequence[Track]) -> Floor:
    stretches = [
        [Stretch(start, end, number) for start, end in _join(track)]
        for number, track in enumerate(tracks)
    ]
    spoken = sorted(
        stretch for own in stretches for stretch in own if not _is_backchannel(stretch, stretches)
    )
    turns = _join_turns(spoken)
    return Floor(turns, _find_cuts(spoken, stretches), _find_answers(turns))


def _join(track: Track) -> spans.Spans:
    return spans.merge(track.spans, gap_ms=STRETCH_PAUSE_MS - 1)


def _open_at(own: Sequence[Stretch], time_ms: int) -> Stretch | None:
    """The last stretch of one track that started at or before a time."""
    index = bisect.bisect_right(own, time_ms, key=lambda stretch: stretch.start)
    return own[index - 1] if index else None


def _is_backchannel(stretch: Stretch, stretches: Sequence[Sequence[Stretch]]) -> bool:
    length = stretch.end - stretch.start
    if length > BACKCHANNEL_MS:
        return False
    around = (
        _open_at(own, stretch.start)
        for number, own in enumerate(stretches)
        if number != stretch.track
    )
    return any(
        other is not None and stretch.end <= other.end and length < other.end - other.start
        for other in around
    )


def _join_turns(spoken: Sequence[Stretch]) -> tuple[Stretch, ...]:
    turns: list[Stretch] = []
    for stretch in spoken:
        last = turns[-1] if turns else None
        if last and last.track == stretch.track and stretch.start - last.end < SILENCE_MS:
            turns[-1] = last._replace(end=stretch.end)
        else:
            turns.append(stretch)
    return tuple(turns)


def _find_cuts(
    spoken: Sequence[Stretch], stretches: Sequence[Sequence[Stretch]]
) -> tuple[Cut, ...]:
    cuts: list[Cut] = []
    for stretch in spoken:
        if stretch.end - stretch.start < HELD_MS:
            continue
        for number, own in enumerate(stretches):
            other = _open_at(own, stretch.start) if number != stretch.track else None
            if (
                other is not None
                and other.start < stretch.start
                and CUT_IN_MS <= other.end - stretch.start <= YIELD_MS
            ):
                cuts.append(Cut(stretch.start, stretch.track, number))
    return tuple(cuts)


def _find_answers(turns: Sequence[Stretch]) -> tuple[tuple[int, int], ...]:
    """Turns that begin in silence after somebody else spoke last."""
    answers: list[tuple[int, int]] = []
    latest: Stretch | None = None
    for turn in turns:
        if latest is not None and latest.track != turn.track and turn.start >= latest.end:
            answers.append((turn.track, turn.start - latest.end))
        if latest is None or turn.end >= latest.end:
            latest = turn
    return tuple(answers)
