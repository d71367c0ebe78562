"""The analysers of the lexical profile, and the order in which they run.

An analyser is a name, a version, what it needs, its options and a function from the call (and what
it needs) to fields of `Insights`. To add one: write its pure function in a module of its own, wrap
it here, list it in `build_lexical`, give `Insights` a field of the name, and describe it in
docs/reference/insights.md. `runner` runs them.
"""

import graphlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from parlance.contracts.analysis.insights import (
    CallMetrics,
    CallSentiment,
    Keyword,
    Summary,
    TrackerResult,
    TrackerRule,
)
from parlance.contracts.calls import Sentiment
from parlance.contracts.values import Value
from parlance.inference.analysis import (
    keywords,
    metrics,
    sentences,
    sentiment,
    stopwords,
    summary,
    trackers,
)
from parlance.inference.analysis.call import Call
from parlance.inference.analysis.sentences import Sentence


@dataclass(slots=True)
class Shared:
    """What analysers hand to those that need them; filled in the order of `plan_order`."""

    sentences: tuple[Sentence, ...] = ()


class Findings(Value):
    """Fields of `Insights`: what one analyser contributes. The base contributes nothing."""


class Analyzer(Protocol):
    """One kind of insight. Its dataclass fields are its options."""

    name: ClassVar[str]
    version: ClassVar[str]
    """Raised when the same call would give another result."""
    needs: ClassVar[tuple[str, ...]]
    """Names of the analysers whose part of `Shared` it reads."""
    languages: ClassVar[tuple[str, ...]]
    """What it understands; empty is every language."""

    def run(self, call: Call, shared: Shared) -> Findings:
        """CPU only, deterministic, in the analysis process."""
        ...


@dataclass(frozen=True, slots=True)
class SentenceAnalyzer:
    """Splits the words of each speaker into sentences, for the others."""

    name: ClassVar[str] = "sentences"
    version: ClassVar[str] = "1"
    needs: ClassVar[tuple[str, ...]] = ()
    languages: ClassVar[tuple[str, ...]] = ()

    def run(self, call: Call, shared: Shared) -> Findings:
        shared.sentences = sentences.find_sentences(call)
        return Findings()


class MetricsFindings(Findings):
    metrics: CallMetrics


@dataclass(frozen=True, slots=True)
class MetricsAnalyzer:
    """Talk, silence, turns, interruptions, pace."""

    name: ClassVar[str] = "metrics"
    version: ClassVar[str] = "1"
    needs: ClassVar[tuple[str, ...]] = ("sentences",)
    languages: ClassVar[tuple[str, ...]] = ()

    def run(self, call: Call, shared: Shared) -> Findings:
        return MetricsFindings(metrics=metrics.measure_call(call, shared.sentences))


class SentimentFindings(Findings):
    sentiment: CallSentiment
    segment_sentiments: dict[str, Sentiment]


@dataclass(frozen=True, slots=True)
class SentimentAnalyzer:
    """VADER over segments, speakers and quarters."""

    name: ClassVar[str] = "sentiment"
    version: ClassVar[str] = "1"
    needs: ClassVar[tuple[str, ...]] = ()
    languages: ClassVar[tuple[str, ...]] = sentiment.LANGUAGES

    def run(self, call: Call, shared: Shared) -> Findings:
        whole, by_segment = sentiment.score_call(call)
        return SentimentFindings(sentiment=whole, segment_sentiments=by_segment)


class KeywordFindings(Findings):
    keywords: tuple[Keyword, ...]


@dataclass(frozen=True, slots=True)
class KeywordAnalyzer:
    """What the call is about, in single words and short phrases."""

    name: ClassVar[str] = "keywords"
    version: ClassVar[str] = "1"
    needs: ClassVar[tuple[str, ...]] = ("sentences",)
    languages: ClassVar[tuple[str, ...]] = ("en",)
    options: keywords.KeywordOptions = keywords.DEFAULT

    def run(self, call: Call, shared: Shared) -> Findings:
        found = keywords.find_keywords(shared.sentences, stopwords.ENGLISH, self.options)
        return KeywordFindings(keywords=found)


class SummaryFindings(Findings):
    summary: Summary | None


@dataclass(frozen=True, slots=True)
class SummaryAnalyzer:
    """The most telling sentences."""

    name: ClassVar[str] = "summary"
    version: ClassVar[str] = "1"
    needs: ClassVar[tuple[str, ...]] = ("sentences",)
    languages: ClassVar[tuple[str, ...]] = ()
    options: summary.SummaryOptions = summary.DEFAULT

    def run(self, call: Call, shared: Shared) -> Findings:
        return SummaryFindings(summary=summary.summarize(shared.sentences, self.options))


class TrackerFindings(Findings):
    trackers: tuple[TrackerResult, ...]


@dataclass(frozen=True, slots=True)
class TrackerAnalyzer:
    """The company's phrase rules."""

    name: ClassVar[str] = "trackers"
    version: ClassVar[str] = "1"
    needs: ClassVar[tuple[str, ...]] = ()
    languages: ClassVar[tuple[str, ...]] = ()
    rules: tuple[TrackerRule, ...] = ()

    def run(self, call: Call, shared: Shared) -> Findings:
        return TrackerFindings(trackers=trackers.apply_trackers(call, self.rules))


def build_lexical(rules: Sequence[TrackerRule]) -> tuple[Analyzer, ...]:
    """The default profile: CPU only, no model."""
    return (
        SentenceAnalyzer(),
        MetricsAnalyzer(),
        SentimentAnalyzer(),
        KeywordAnalyzer(),
        SummaryAnalyzer(),
        TrackerAnalyzer(tuple(rules)),
    )


def plan_order(analyzers: Sequence[Analyzer]) -> tuple[Analyzer, ...]:
    """Each after what it needs, otherwise as listed. Raises graphlib.CycleError, KeyError."""
    by_name = {analyzer.name: analyzer for analyzer in analyzers}
    graph = {analyzer.name: analyzer.needs for analyzer in analyzers}
    return tuple(by_name[name] for name in graphlib.TopologicalSorter(graph).static_order())
