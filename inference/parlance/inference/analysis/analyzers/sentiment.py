"""Sentiment by the VADER lexicon: of segments, speakers, quarters, and its trend.

English only: the lexicon is. Means are weighted by words, so that a sigh does not outweigh a
speech. The lexicon is read on first use, which takes some 50 ms.
"""

import functools
import string
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from parlance.contracts.analysis.insights import AnalyzerError, CallSentiment, SpeakerSentiment
from parlance.contracts.calls import Sentiment
from parlance.inference.analysis import text
from parlance.inference.analysis.analyzers.base import Findings, Shared, check_language
from parlance.inference.analysis.documents import Document
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

LANGUAGES = ("en",)
_SHORT_CHARACTERS = 300
_REMEMBERED = 4096
"""Sentences whose score is kept."""
_POLAR = 0.05
"""VADER's own cut between neutral and not."""
_TREND = 0.1
"""Change of the mean from first to last third that counts as one."""


class Scored(NamedTuple):
    """A unit's sentiment, and what its means need."""

    speaker: str
    middle: float
    words: int
    score: float


@functools.cache
def load_lexicon() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()


def label_of(score: float) -> str:
    if score >= _POLAR:
        return "positive"
    return "negative" if score <= -_POLAR else "neutral"


def score_text(content: str) -> Sentiment:
    """Mean of VADER's compound over the sentences, weighted by words; neutral without words.

    By sentence because the compound of a long text saturates at -1 or 1.
    """
    return _mean(
        (text.count_words(sentence), _compound(sentence))
        for begin, end in text.split_sentences(content)
        for sentence in (content[begin:end],)
    )


def score_document(document: Document) -> tuple[CallSentiment, dict[str, Sentiment]]:
    """Sentiment of the document and its speakers, and of every unit by id."""
    by_unit: dict[str, Sentiment] = {}
    scored: list[Scored] = []
    total_words = 0
    for u in document.units:
        sentiment = by_unit[u.id] = score_text(u.text)
        words = text.count_words(u.text)
        # Without time, a place in the document is counted in words.
        middle = (u.start + u.end) / 2 if document.is_timed else total_words + words / 2
        scored.append(Scored(u.speaker, middle, words, sentiment.score))
        total_words += words
    length = document.duration_seconds if document.is_timed else total_words
    speakers = tuple(
        SpeakerSentiment(
            speaker=speaker,
            overall=_mean_of(own),
            quarters=_quarters(own, length),
            trend=_trend(own, length),
        )
        for speaker in _list_speakers(document)
        if (own := [item for item in scored if item.speaker == speaker])
    )
    whole = CallSentiment(
        overall=_mean_of(scored),
        quarters=_quarters(scored, length),
        trend=_trend(scored, length),
        speakers=speakers,
    )
    return whole, by_unit


def _list_speakers(document: Document) -> Iterable[str]:
    """In the order of the tracks, which is that of the channels; of a text by first words."""
    if document.is_timed:
        return dict.fromkeys(track.speaker for track in document.tracks)
    return dict.fromkeys(unit.speaker for unit in document.units if unit.speaker)


def _compound(sentence: str) -> float:
    return _recall_compound(sentence) if len(sentence) <= _SHORT_CHARACTERS else _measure(sentence)


def _measure(sentence: str) -> float:
    lexicon = load_lexicon()
    if _is_neutral(sentence, lexicon):
        return 0.0
    return float(lexicon.polarity_scores(sentence)["compound"])


# The sentences of text blocks come again and again.
_recall_compound = functools.lru_cache(maxsize=_REMEMBERED)(_measure)


def _is_neutral(sentence: str, lexicon: SentimentIntensityAnalyzer) -> bool:
    """Whether VADER finds no word to score, which is quicker to see than its score: then it sums up
    to 0, and emphasis of 0 is 0 too."""
    words = sentence.lower().split()
    return (
        lexicon.lexicon.keys().isdisjoint(words)
        and lexicon.lexicon.keys().isdisjoint(word.strip(string.punctuation) for word in words)
        and (sentence.isascii() or lexicon.emojis.keys().isdisjoint(sentence))
    )


def _mean(weighted: Iterable[tuple[int, float]]) -> Sentiment:
    total = 0
    summed = 0.0
    for words, score in weighted:
        total += words
        summed += words * score
    mean = round(summed / total, 4) if total else 0.0
    return Sentiment(score=mean, label=label_of(mean))


def _mean_of(items: Iterable[Scored]) -> Sentiment:
    return _mean((item.words, item.score) for item in items)


def _divide(items: Sequence[Scored], length: float, of: int) -> Mapping[int, Sequence[Scored]]:
    """Items by which of `of` equal parts of the document their middle lies in, from 0."""
    parts: dict[int, list[Scored]] = defaultdict(list)
    for item in items:
        parts[min(int(item.middle * of / length) if length else 0, of - 1)].append(item)
    return parts


def _quarters(items: Sequence[Scored], length: float) -> tuple[Sentiment | None, ...]:
    parts = _divide(items, length, 4)
    return tuple(_mean_of(parts[n]) if n in parts else None for n in range(4))


def _trend(items: Sequence[Scored], length: float) -> str:
    thirds = _divide(items, length, 3)
    if 0 not in thirds or 2 not in thirds:
        return "stable"
    change = round(_mean_of(thirds[2]).score - _mean_of(thirds[0]).score, 4)
    if change >= _TREND:
        return "improving"
    return "deteriorating" if change <= -_TREND else "stable"


class SentimentFindings(Findings):
    sentiment: CallSentiment
    segment_sentiments: dict[str, Sentiment]


@dataclass(frozen=True, slots=True)
class SentimentAnalyzer:
    """VADER over segments, speakers and quarters."""

    name: ClassVar[str] = "sentiment"
    version: ClassVar[str] = "1"
    needs: ClassVar[tuple[str, ...]] = ("language",)

    def load(self) -> None:
        load_lexicon()

    def applies_to(self, document: Document) -> AnalyzerError | None:
        return check_language(document, LANGUAGES)

    def run(self, document: Document, shared: Shared) -> Findings:
        whole, by_unit = score_document(document)
        return SentimentFindings(sentiment=whole, segment_sentiments=by_unit)
