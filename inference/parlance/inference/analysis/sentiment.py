"""Sentiment by the VADER lexicon: of segments, speakers, quarters, and its trend.

English only: the lexicon is. Means are weighted by words, so that a sigh does not outweigh a
speech. `annotate_sentiment` scores segments in the worker while they are published; the rest is
an analyser. The lexicon is read on first use (some 50 ms): `load_lexicon` does it ahead.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from parlance.contracts.analysis.insights import CallSentiment, SpeakerSentiment
from parlance.contracts.calls import Segment, Sentiment
from parlance.inference.analysis import text
from parlance.inference.analysis.call import Call
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

LANGUAGES = ("en",)
_POLAR = 0.05
"""VADER's own cut between neutral and not."""
_TREND = 0.1
"""Change of the mean from first to last third that counts as one."""


class Scored(NamedTuple):
    """An utterance's sentiment, and what its means need."""

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


def annotate_sentiment(segments: Iterable[Segment], *, language: str) -> tuple[Segment, ...]:
    """The segments with their sentiment; as they are when the language has no lexicon."""
    if not is_supported(language):
        return tuple(segments)
    return tuple(
        segment.model_copy(update={"sentiment": score_text(segment.text)}) for segment in segments
    )


def is_supported(language: str) -> bool:
    return language.partition("-")[0].lower() in LANGUAGES


def score_call(call: Call) -> tuple[CallSentiment, dict[str, Sentiment]]:
    """Sentiment of the call and its speakers, and of every segment by id."""
    by_segment: dict[str, Sentiment] = {}
    scored: list[Scored] = []
    for u in call.utterances:
        sentiment = by_segment[u.id] = score_text(u.text)
        words = text.count_words(u.text)
        scored.append(Scored(u.speaker, (u.start + u.end) / 2, words, sentiment.score))
    duration = call.duration_seconds
    speakers = tuple(
        SpeakerSentiment(
            speaker=speaker,
            overall=_mean_of(own),
            quarters=_quarters(own, duration),
            trend=_trend(own, duration),
        )
        for speaker in dict.fromkeys(track.speaker for track in call.tracks)
        if (own := [item for item in scored if item.speaker == speaker])
    )
    whole = CallSentiment(
        overall=_mean_of(scored),
        quarters=_quarters(scored, duration),
        trend=_trend(scored, duration),
        speakers=speakers,
    )
    return whole, by_segment


def _compound(sentence: str) -> float:
    return float(load_lexicon().polarity_scores(sentence)["compound"])


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


def _part(items: Sequence[Scored], duration: float, number: int, of: int) -> list[Scored]:
    """Items whose middle lies in one of `of` equal parts of the call."""
    return [
        item
        for item in items
        if min(int(item.middle * of / duration) if duration else 0, of - 1) == number
    ]


def _quarters(items: Sequence[Scored], duration: float) -> tuple[Sentiment | None, ...]:
    parts = (_part(items, duration, number, 4) for number in range(4))
    return tuple(_mean_of(part) if part else None for part in parts)


def _trend(items: Sequence[Scored], duration: float) -> str:
    first, last = _part(items, duration, 0, 3), _part(items, duration, 2, 3)
    if not first or not last:
        return "stable"
    change = round(_mean_of(last).score - _mean_of(first).score, 4)
    if change >= _TREND:
        return "improving"
    return "deteriorating" if change <= -_TREND else "stable"
