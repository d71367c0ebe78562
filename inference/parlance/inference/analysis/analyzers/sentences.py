"""Sentences of a call, each with its speaker and place. The first analyser; others build on it.

Speech recognition cuts segments at pauses, often inside a sentence: unfinished segments of one
speaker are joined before they are split.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from parlance.inference.analysis import text
from parlance.inference.analysis.analyzers.base import Findings, ForEverything, Shared
from parlance.inference.analysis.documents import Document, Unit
from parlance.inference.analysis.passages import Passage, Sentence, group_by_speaker

_MAX_PAUSE_SECONDS = 1.5
"""A longer pause ends the sentence, whatever the punctuation says."""


def find_sentences(document: Document) -> tuple[Sentence, ...]:
    """By time; in a document without time by the order of its units."""
    if not document.is_timed:
        return tuple(sentence for unit in document.units for sentence in _split_untimed(unit))
    return tuple(
        sorted(
            sentence
            for units in group_by_speaker(document.units).values()
            for passage in _join_unfinished(units)
            for sentence in _split(passage)
        )
    )


def _join_unfinished(units: Sequence[Unit]) -> Iterator[Passage]:
    row: list[Unit] = []
    words = 0
    for unit in units:
        if row and (
            text.is_finished(row[-1].text)
            or unit.start - row[-1].end > _MAX_PAUSE_SECONDS
            or words >= text.MAX_SENTENCE_WORDS
        ):
            yield Passage(row)
            row, words = [], 0
        row.append(unit)
        words += text.count_words(unit.text)
    if row:
        yield Passage(row)


def _split_untimed(unit: Unit) -> Iterator[Sentence]:
    for begin, end in text.split_sentences(unit.text):
        yield Sentence(unit.start, unit.end, unit.speaker, unit.id, unit.text[begin:end])


def _split(passage: Passage) -> Iterator[Sentence]:
    speaker = passage.units[0].speaker
    for begin, end in text.split_sentences(passage.text):
        start, until, segment_id = passage.locate(begin, end)
        yield Sentence(start, until, speaker, segment_id, passage.text[begin:end])


@dataclass(frozen=True, slots=True)
class SentenceAnalyzer(ForEverything):
    """Splits the words of each speaker into sentences, for the others."""

    name: ClassVar[str] = "sentences"
    version: ClassVar[str] = "1"
    needs: ClassVar[tuple[str, ...]] = ()

    def run(self, document: Document, shared: Shared) -> Findings:
        shared.sentences = find_sentences(document)
        return Findings()
