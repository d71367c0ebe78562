"""Which analysers run, in which order, and the key of each one's result.

To add one: a module in `analyzers/` with its pure function and its class, its place in
`build_lexical`, a field of `Insights`, and its section in docs/reference/insights.md.
"""

import dataclasses
import functools
import graphlib
import hashlib
import json
from collections.abc import Sequence

from parlance.contracts.analysis.insights import AnalyzerError, TrackerRules
from parlance.inference.analysis.analyzers.base import Analyzer, Loading
from parlance.inference.analysis.analyzers.conversation import ConversationAnalyzer
from parlance.inference.analysis.analyzers.keywords import KeywordAnalyzer
from parlance.inference.analysis.analyzers.language import LanguageAnalyzer
from parlance.inference.analysis.analyzers.metrics import MetricsAnalyzer
from parlance.inference.analysis.analyzers.pii import PiiAnalyzer
from parlance.inference.analysis.analyzers.sentences import SentenceAnalyzer
from parlance.inference.analysis.analyzers.sentiment import SentimentAnalyzer
from parlance.inference.analysis.analyzers.summary import SummaryAnalyzer
from parlance.inference.analysis.analyzers.trackers import TrackerAnalyzer
from parlance.inference.analysis.documents import Document
from pydantic_core import to_jsonable_python


def build_lexical(rules: TrackerRules | None) -> tuple[Analyzer, ...]:
    """The default profile: CPU only, no model. `rules` None: they could not be read."""
    return (
        LanguageAnalyzer(),
        SentenceAnalyzer(),
        MetricsAnalyzer(),
        ConversationAnalyzer(),
        SentimentAnalyzer(),
        KeywordAnalyzer(),
        SummaryAnalyzer(),
        TrackerAnalyzer(rules),
        PiiAnalyzer(),
    )


def plan_order(analyzers: Sequence[Analyzer]) -> tuple[Analyzer, ...]:
    """Each after what it needs, otherwise as listed. Raises graphlib.CycleError, KeyError."""
    by_name = {analyzer.name: analyzer for analyzer in analyzers}
    needs = tuple((analyzer.name, analyzer.needs) for analyzer in analyzers)
    return tuple(by_name[name] for name in _plan_names(needs))


@functools.lru_cache(maxsize=16)
def _plan_names(needs: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[str, ...]:
    """Kept, since every document of a kind asks for the same order."""
    return tuple(graphlib.TopologicalSorter(dict(needs)).static_order())


def list_for(document: Document, analyzers: Sequence[Analyzer]) -> tuple[Analyzer, ...]:
    """Those whose runs are listed: to measure no written messages is no failure of a call."""
    return tuple(
        analyzer
        for analyzer in analyzers
        if analyzer.applies_to(document) is not AnalyzerError.NEEDS_TEXT
    )


def load(analyzers: Sequence[Analyzer]) -> None:
    """Read models and word lists ahead of the first document."""
    for analyzer in analyzers:
        if isinstance(analyzer, Loading):
            analyzer.load()


def hash_config(analyzer: object) -> str:
    """Of the options, tracker rules included; "" for an analyser without any.

    Name, version and this are the key of a result: the same key and the same document give the
    same result.
    """
    return _hash_options(analyzer)


@functools.lru_cache(maxsize=32)
def _hash_options(analyzer: object) -> str:
    """Kept, since every document asks for it; not for many, since the rules of a company may take
    up to some hundred kilobytes."""
    if not dataclasses.is_dataclass(analyzer) or not dataclasses.fields(analyzer):
        return ""
    options = {
        field.name: to_jsonable_python(getattr(analyzer, field.name))
        for field in dataclasses.fields(analyzer)
    }
    canonical = json.dumps(options, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
