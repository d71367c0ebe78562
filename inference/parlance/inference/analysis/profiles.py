"""Which analysers run, in which order, and the key of each one's result.

To add one: a module in `analyzers/` with its pure function and its class, its place in
`build_lexical`, a field of `Insights`, and its section in docs/reference/insights.md.
"""

import dataclasses
import graphlib
import hashlib
import json
from collections.abc import Sequence

from parlance.contracts.analysis.insights import TrackerRules
from parlance.inference.analysis.analyzers.base import Analyzer
from parlance.inference.analysis.analyzers.keywords import KeywordAnalyzer
from parlance.inference.analysis.analyzers.metrics import MetricsAnalyzer
from parlance.inference.analysis.analyzers.sentences import SentenceAnalyzer
from parlance.inference.analysis.analyzers.sentiment import SentimentAnalyzer
from parlance.inference.analysis.analyzers.summary import SummaryAnalyzer
from parlance.inference.analysis.analyzers.trackers import TrackerAnalyzer
from pydantic_core import to_jsonable_python


def build_lexical(rules: TrackerRules | None) -> tuple[Analyzer, ...]:
    """The default profile: CPU only, no model. `rules` None: they could not be read."""
    return (
        SentenceAnalyzer(),
        MetricsAnalyzer(),
        SentimentAnalyzer(),
        KeywordAnalyzer(),
        SummaryAnalyzer(),
        TrackerAnalyzer(rules),
    )


def plan_order(analyzers: Sequence[Analyzer]) -> tuple[Analyzer, ...]:
    """Each after what it needs, otherwise as listed. Raises graphlib.CycleError, KeyError."""
    by_name = {analyzer.name: analyzer for analyzer in analyzers}
    graph = {analyzer.name: analyzer.needs for analyzer in analyzers}
    return tuple(by_name[name] for name in graphlib.TopologicalSorter(graph).static_order())


def hash_config(analyzer: object) -> str:
    """Of the options, tracker rules included; "" for an analyser without any.

    Name, version and this are the key of a result: the same key and the same document give the
    same result.
    """
    if not dataclasses.is_dataclass(analyzer) or not dataclasses.fields(analyzer):
        return ""
    options = {
        field.name: to_jsonable_python(getattr(analyzer, field.name))
        for field in dataclasses.fields(analyzer)
    }
    canonical = json.dumps(options, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
