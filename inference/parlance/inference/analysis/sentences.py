"""Sentences of a call, each with its speaker and place. The first analyser; others build on it.

Speech recognition cuts segments at pauses, often inside a sentence: unfinished segments of one
speaker are joined before they are split. Called by the analysers' runner.
"""

import bisect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from parlance.contracts.analysis.insights import Span
from parlance.inference.analysis import text
from parlance.inference.analysis.call import Call, Utterance

_MAX_PAUSE_SECONDS = 1.5
"""A longer pause ends the sentence, whatever the punctuation says."""


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
    """Consecutive utterances of one speaker as one text that still knows when it was said."""

    def __init__(self, utterances: Sequence[Utterance]) -> None:
        self.utterances = utterances
        self.text = " ".join(utterance.text for utterance in utterances)
        self._begins: list[int] = []
        begin = 0
        for utterance in utterances:
            self._begins.append(begin)
            begin += len(utterance.text) + 1

    def locate(self, begin: int, end: int) -> tuple[float, float, str]:
        """(start, end, id of the segment where it starts) of text[begin:end], not empty."""
        first = bisect.bisect_right(self._begins, begin) - 1
        last = bisect.bisect_left(self._begins, end) - 1
        head, tail = self.utterances[first], self.utterances[last]
        head_end = min(end - self._begins[first], len(head.text))
        start, until = head.locate(begin - self._begins[first], head_end)
        if last > first:
            until = tail.locate(0, end - self._begins[last])[1]
        return start, until, head.id


def find_sentences(call: Call) -> tuple[Sentence, ...]:
    return tuple(
        sorted(
            sentence
            for utterances in group_by_speaker(call.utterances).values()
            for passage in _join_unfinished(utterances)
            for sentence in _split(passage)
        )
    )


def group_by_speaker(utterances: Sequence[Utterance]) -> dict[str, list[Utterance]]:
    """Utterances that hold any text, in order, by speaker in order of appearance."""
    said: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        if utterance.text.strip():
            said[utterance.speaker].append(utterance)
    return said


def _join_unfinished(utterances: Sequence[Utterance]) -> Iterator[Passage]:
    row: list[Utterance] = []
    words = 0
    for utterance in utterances:
        if row and (
            text.is_finished(row[-1].text)
            or utterance.start - row[-1].end > _MAX_PAUSE_SECONDS
            or words >= text.MAX_SENTENCE_WORDS
        ):
            yield Passage(row)
            row, words = [], 0
        row.append(utterance)
        words += text.count_words(utterance.text)
    if row:
        yield Passage(row)


def _split(passage: Passage) -> Iterator[Sentence]:
    speaker = passage.utterances[0].speaker
    for begin, end in text.split_sentences(passage.text):
        start, until, segment_id = passage.locate(begin, end)
        yield Sentence(start, until, speaker, segment_id, passage.text[begin:end])
