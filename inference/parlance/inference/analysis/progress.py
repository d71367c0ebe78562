"""How far the analysis of one document is: which analysers have ended, and what they found."""

import functools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import structlog
from parlance.contracts.analysis.insights import AnalyzerError, AnalyzerRun, Insights
from parlance.inference.analysis import reports
from parlance.inference.analysis.isolation.frames import Answer, BeganNote
from parlance.inference.analysis.reports import Named
from prometheus_client import Counter, Histogram

_log = structlog.get_logger(__name__)
_SECONDS = Histogram(
    "parlance_insights_analyzer_seconds",
    "Time an analyser took for a document.",
    ["analyzer"],
    buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60),
)
_FAILURES = Counter(
    "parlance_insights_analyzer_failures_total",
    "Analysers that gave no result, by reason.",
    ["analyzer", "error_code"],
)
_NOT_APPLICABLE = (
    AnalyzerError.UNSUPPORTED_LANGUAGE,
    AnalyzerError.NEEDS_VOICE,
    AnalyzerError.NEEDS_TEXT,
)


@dataclass(frozen=True, slots=True)
class Analysis:
    """What came out for one document."""

    runs: tuple[AnalyzerRun, ...]
    fields: dict[str, object]
    """Of `Insights`, validated."""

    def build_insights(
        self, *, call_id: str | None = None, ticket_id: str | None = None, attempt: int
    ) -> Insights:
        """Of a call or of a ticket."""
        empty = Insights(call_id=call_id, ticket_id=ticket_id, attempt=attempt, analyzers=self.runs)
        # A copy, as every part was validated when it came in: once more would hold up the loop
        # for a long call, with its thousands of segment sentiments.
        return empty.model_copy(update=self.fields)


@dataclass(slots=True)
class Progress:
    """What is known about one document so far."""

    analyzers: Sequence[Named]
    """Those of the analysis process, in the order in which their runs are listed."""
    ends_at: float
    """By the monotonic clock."""
    fields: dict[str, object] = field(default_factory=dict)
    """Of `Insights`, from analysers that have ended well."""
    parts: dict[str, object] = field(default_factory=dict)
    """From the analyser that is running."""
    runs: dict[str, AnalyzerRun] = field(default_factory=dict)
    current: BeganNote | None = None
    began_at: float = 0.0

    @property
    def left_seconds(self) -> float:
        return self.ends_at - time.monotonic()

    @property
    def remaining(self) -> list[Named]:
        return [analyzer for analyzer in self.analyzers if analyzer.name not in self.runs]

    def begin(self, note: BeganNote) -> None:
        self.current, self.began_at = note, time.monotonic()

    def end(self, run: AnalyzerRun, trace: str = "") -> None:
        """The running analyser has ended; its parts count if it ended well."""
        self.current = None
        self.fields |= self.parts if run.ok else {}
        self.parts = {}
        self.runs[run.name] = run
        note_run(run, trace)

    def take(self, answer: Answer) -> bool:
        """All analysers have ended; False, and nothing is taken, if the answer leaves any out."""
        if {note.run.name for note in answer.ended} != {one.name for one in self.analyzers}:
            return False
        self.parts = {}
        for note in answer.ended:
            self.end(note.run, note.trace)
        self.fields |= answer.fields
        return True

    def fail(self, analyzers: Iterable[Named], code: AnalyzerError, seconds: float = 0.0) -> None:
        for analyzer in analyzers:
            self.end(reports.build_failure(analyzer, code, seconds=seconds).run)

    def lose_process(self, code: AnalyzerError) -> None:
        """The process is lost: the analyser it was at has failed, the others have not."""
        note, self.current = self.current, None
        running = [analyzer for analyzer in self.remaining if note and analyzer.name == note.name]
        # Lost before one began, or while one was done again for others: it would be lost again.
        seconds = time.monotonic() - self.began_at if running else 0.0
        self.fail(running or self.remaining, code, seconds)

    def build_analysis(self) -> Analysis:
        return Analysis(tuple(self.runs[analyzer.name] for analyzer in self.analyzers), self.fields)


@functools.lru_cache(maxsize=64)
def _seconds_of(analyzer: str) -> Histogram:
    """Kept, since to look it up among the labels takes as long as to observe."""
    return _SECONDS.labels(analyzer)


def note_run(run: AnalyzerRun, trace: str = "") -> None:
    """Metrics of one run, and a log line where it failed."""
    _seconds_of(run.name).observe(run.seconds)
    if run.ok or run.error_code in _NOT_APPLICABLE:
        return
    _FAILURES.labels(run.name, run.error_code).inc()
    _log.warning(
        "insights.analyzer_failed", analyzer=run.name, error_code=run.error_code, trace=trace
    )
