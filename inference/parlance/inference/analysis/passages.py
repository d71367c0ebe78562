"""Stretches of text that know where in the document they stand. Pure; used by the analysers."""

import bisect
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from parlance.contracts.analysis.insights import Span
from parlance.inference.analysis.documents import Unit


class Sentence(NamedTuple):
    """A sentence of one speaker. Ordered by time."""

    start: float
    end: float
    speaker: str
    segment_id: str
    """Of the segment it begins in."""
    text: str

    @property
    def span(self) -> Span:
        return Span(
            start_seconds=round(self.start, 3),
            end_seconds=round(self.end, 3),
            segment_id=self.segment_id,
            text=self.text,
        )


class Passage:
    """Consecutive units of one speaker as one text that still knows when it was said."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.units = units
        self.text = " ".join(unit.text for unit in units)
        self._begins: list[int] = []
        begin = 0
        for unit in units:
            self._begins.append(begin)
            begin += len(unit.text) + 1

    def locate(self, begin: int, end: int) -> tuple[float, float, str]:
        """(start, end, id of the segment where it starts) of text[begin:end], not empty."""
        first = bisect.bisect_right(self._begins, begin) - 1
        last = bisect.bisect_left(self._begins, end) - 1
        head, tail = self.units[first], self.units[last]
        head_end = min(end - self._begins[first], len(head.text))
        start, until = head.locate(begin - self._begins[first], head_end)
        if last > first:
            until = tail.locate(0, end - self._begins[last])[1]
        return start, until, head.id


def group_by_speaker(units: Sequence[Unit]) -> dict[str, list[Unit]]:
    """Utterances that hold any text, in order, by speaker in order of appearance."""
    said: dict[str, list[Unit]] = defaultdict(list)
    for unit in units:
        if unit.text.strip():
            said[unit.speaker].append(unit)
    return said
