"""Runs the analysers of one document, each on its own: one that fails or hangs costs only itself.

Lives in the analysis process, on its main thread (the timer is a signal). Called by `child`.
"""

import dataclasses
import signal
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from parlance.contracts.analysis.insights import AnalyzerError
from parlance.inference.analysis import profiles, reports
from parlance.inference.analysis.analyzers.base import Analyzer, Findings, Shared
from parlance.inference.analysis.documents import Document
from parlance.inference.analysis.reports import Ended


@dataclass(frozen=True, slots=True)
class Began:
    """An analyser starts and has this long."""

    name: str
    share_seconds: float


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier processes did for the same call, before they were lost."""

    done: Collection[str] = ()
    failed: Collection[str] = ()


class _TimeIsUp(BaseException):
    """Not an Exception: no `except Exception` of a library may swallow it."""


def run_analyzers(
    document: Document, todo: Sequence[Analyzer], *, budget_seconds: float, past: Past | None = None
) -> Iterator[Began | Ended]:
    """Run what is not done yet, in the order of needs.

    Each may use an equal share of the time that is left: what one does not use, the later ones
    may, and nobody can take it all.
    """
    past = past or Past()
    session = _Session(document, failed=set(past.failed))
    queue = [a for a in profiles.plan_order(todo) if _is_due(a, todo, past)]
    ends_at = time.monotonic() + budget_seconds
    with _handle_alarms():
        for position, analyzer in enumerate(queue):
            share = max(0.001, ends_at - time.monotonic()) / (len(queue) - position)
            yield Began(analyzer.name, share)
            yield session.run(analyzer, share)


def _is_due(analyzer: Analyzer, todo: Sequence[Analyzer], past: Past) -> bool:
    """Not done yet, or done by a lost process and needed again by one that is not."""
    if analyzer.name in past.failed:
        return False
    return analyzer.name not in past.done or any(
        analyzer.name in other.needs and _is_due(other, todo, past) for other in todo
    )


@dataclass(slots=True)
class _Session:
    """The state of one run over one call."""

    document: Document
    failed: set[str]
    shared: Shared = field(default_factory=Shared)

    def run(self, analyzer: Analyzer, share_seconds: float) -> Ended:
        ended = self._attempt(analyzer, share_seconds)
        if not ended.run.ok:
            self.failed.add(analyzer.name)
        return ended

    def _attempt(self, analyzer: Analyzer, share_seconds: float) -> Ended:
        if self.failed.intersection(analyzer.needs):
            return reports.build_failure(analyzer, AnalyzerError.DEPENDENCY_FAILED)
        reason = analyzer.applies_to(self.document)
        if reason is not None:
            return reports.build_failure(analyzer, reason)
        began = time.monotonic()

        def fail(code: AnalyzerError, trace: str = "") -> Ended:
            return reports.build_failure(
                analyzer, code, seconds=time.monotonic() - began, trace=trace
            )

        try:
            findings = _run_with_alarm(analyzer, self.document, self.shared, share_seconds)
        except _TimeIsUp:
            return fail(AnalyzerError.TIMED_OUT)
        except MemoryError:
            return fail(AnalyzerError.OUT_OF_MEMORY)
        except Exception:  # noqa: BLE001  the border of isolation: a fault is the analyser's own
            return fail(AnalyzerError.INTERNAL, traceback.format_exc())
        self._note_language()
        return reports.build_success(analyzer, findings, seconds=time.monotonic() - began)

    def _note_language(self) -> None:
        """The analysers that follow read a document whose language is known."""
        if self.shared.language and not self.document.language:
            self.document = dataclasses.replace(self.document, language=self.shared.language)


@contextmanager
def _handle_alarms() -> Iterator[None]:
    """An alarm raises _TimeIsUp in the main thread."""
    old: Callable[[int, FrameType | None], object] | int | None
    old = signal.signal(signal.SIGALRM, _ring)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, old)


def _run_with_alarm(
    analyzer: Analyzer, document: Document, shared: Shared, seconds: float
) -> Findings:
    """Raises _TimeIsUp after so many seconds."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return analyzer.run(document, shared)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _ring(_signal: int, _frame: FrameType | None) -> None:
    raise _TimeIsUp
