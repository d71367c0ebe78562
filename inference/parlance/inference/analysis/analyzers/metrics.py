"""Metrics of the conversation: who talks when, how much, how fast; from voice activity. Pure.

Times come from the voice tracks, words and questions from the text. Every formula is in
docs/reference/insights.md with a worked example.
"""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from parlance.contracts.analysis.insights import (
    AnalyzerError,
    CallMetrics,
    Interruption,
    Span,
    SpeakerMetrics,
)
from parlance.inference.analysis import spans, text, turns
from parlance.inference.analysis.analyzers.base import Findings, Shared
from parlance.inference.analysis.documents import Document, Track
from parlance.inference.analysis.passages import Sentence

MIN_TALK_MS = 5000
"""Below this much talk (or call) a rate per minute would be noise."""


@dataclass(frozen=True, slots=True)
class _Counts:
    """What is counted from the words, by speaker."""

    words: Counter[str]
    questions: Counter[str]


def measure_document(document: Document, sentences: Sequence[Sentence]) -> CallMetrics:
    union = spans.merge(span for track in document.tracks for span in track.spans)
    talk_ms = sum(spans.measure(track.spans) for track in document.tracks)
    silent = spans.complement(union, document.duration_ms)
    silence_ms = spans.measure(silent)
    floor = turns.plan_floor(document.tracks)
    counts = _count(document, sentences)
    return CallMetrics(
        duration_seconds=document.duration_seconds,
        talk_seconds=talk_ms / 1000,
        silence_seconds=silence_ms / 1000,
        silence_ratio=_ratio(silence_ms, document.duration_ms),
        overlap_seconds=(talk_ms - spans.measure(union)) / 1000,
        silences=tuple(
            Span(start_seconds=start / 1000, end_seconds=end / 1000)
            for start, end in silent
            if end - start >= turns.SILENCE_MS
        ),
        interruptions=tuple(
            Interruption(
                by=document.tracks[cut.by].speaker,
                of=document.tracks[cut.of].speaker,
                start_seconds=cut.start / 1000,
            )
            for cut in floor.cuts
        ),
        turns_per_minute=_per_minute(len(floor.turns), document.duration_ms),
        speakers=tuple(
            _measure_speaker(
                number,
                track,
                floor,
                counts,
                talk_of_all_ms=talk_ms,
                union_ms=spans.measure(union),
            )
            for number, track in enumerate(document.tracks)
        ),
    )


def _measure_speaker(
    number: int,
    track: Track,
    floor: turns.Floor,
    counts: _Counts,
    *,
    talk_of_all_ms: int,
    union_ms: int,
) -> SpeakerMetrics:
    talk_ms = spans.measure(track.spans)
    own_turns = [turn for turn in floor.turns if turn.track == number]
    answers = [wait_ms for who, wait_ms in floor.answers if who == number]
    words = counts.words[track.speaker]
    return SpeakerMetrics(
        speaker=track.speaker,
        role=track.role,
        talk_seconds=talk_ms / 1000,
        talk_ratio=_ratio(talk_ms, talk_of_all_ms),
        listen_seconds=(union_ms - talk_ms) / 1000,
        words=words,
        words_per_minute=_per_minute(words, talk_ms),
        longest_monologue_seconds=max((t.end - t.start for t in own_turns), default=0) / 1000,
        turns=len(own_turns),
        questions=counts.questions[track.speaker],
        interruptions=sum(cut.by == number for cut in floor.cuts),
        response_latency_seconds=round(statistics.median(answers) / 1000, 3) if answers else None,
    )


def _count(document: Document, sentences: Sequence[Sentence]) -> _Counts:
    words: Counter[str] = Counter()
    for unit in document.units:
        words[unit.speaker] += text.count_words(unit.text)
    questions = Counter(s.speaker for s in sentences if text.is_question(s.text))
    return _Counts(words, questions)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _per_minute(count: int, length_ms: int) -> float | None:
    return round(count * 60_000 / length_ms, 2) if length_ms >= MIN_TALK_MS else None


class MetricsFindings(Findings):
    metrics: CallMetrics


@dataclass(frozen=True, slots=True)
class MetricsAnalyzer:
    """Talk, silence, turns, interruptions, pace."""

    name: ClassVar[str] = "metrics"
    version: ClassVar[str] = "1"
    needs: ClassVar[tuple[str, ...]] = ("sentences",)

    def applies_to(self, document: Document) -> AnalyzerError | None:
        """A timed document without tracks is a call in which nobody spoke."""
        return None if document.is_timed or not document.units else AnalyzerError.NEEDS_VOICE

    def run(self, document: Document, shared: Shared) -> Findings:
        return MetricsFindings(metrics=measure_document(document, shared.sentences))
