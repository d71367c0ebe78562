"""Runs the analysers of one call, each on its own: one that fails or hangs costs only itself.

Lives in the analysis process, on its main thread (the timer is a signal). Called by `child`.
"""

import signal
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from parlance.contracts.analysis.insights import AnalyzerError, AnalyzerRun
from parlance.inference.analysis import analyzers
from parlance.inference.analysis.analyzers import Analyzer, Findings, Shared
from parlance.inference.analysis.call import Call

MESSAGES = {
    AnalyzerError.UNSUPPORTED_LANGUAGE: "It does not know the language of this call.",
    AnalyzerError.DEPENDENCY_FAILED: "An analyser whose result it needs has failed.",
    AnalyzerError.TIMED_OUT: "It did not finish in its share of the time.",
    AnalyzerError.OUT_OF_MEMORY: "It needed more memory than analysis may use.",
    AnalyzerError.CRASHED: "The analysis process ended while it ran.",
    AnalyzerError.INTERNAL: "It failed; the worker's log has the details.",
}


@dataclass(frozen=True, slots=True)
class Began:
    """An analyser starts and has this long."""

    name: str
    share_seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """How an analyser fared, and what it found."""

    run: AnalyzerRun
    findings: Findings | None = None
    trace: str = ""
    """For the log only: an error's text may hold words of the call."""


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier processes did for the same call, before they were lost."""

    done: Collection[str] = ()
    failed: Collection[str] = ()


class _TimeIsUp(BaseException):
    """Not an Exception: no `except Exception` of a library may swallow it."""


def build_failure(
    analyzer: Analyzer, code: AnalyzerError, *, seconds: float = 0.0, trace: str = ""
) -> Ended:
    run = AnalyzerRun(
        name=analyzer.name,
        version=analyzer.version,
        ok=False,
        seconds=round(seconds, 4),
        error_code=code,
        error=MESSAGES[code],
    )
    return Ended(run, trace=trace)


def run_analyzers(
    call: Call, todo: Sequence[Analyzer], *, budget_seconds: float, past: Past | None = None
) -> Iterator[Began | Ended]:
    """Run what is not done yet, in the order of needs.

    Each may use an equal share of the time that is left: what one does not use, the later ones
    may, and nobody can take it all.
    """
    past = past or Past()
    session = _Session(call, failed=set(past.failed))
    queue = [a for a in analyzers.plan_order(todo) if _is_due(a, todo, past)]
    ends_at = time.monotonic() + budget_seconds
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

    call: Call
    failed: set[str]
    shared: Shared = field(default_factory=Shared)

    def run(self, analyzer: Analyzer, share_seconds: float) -> Ended:
        ended = self._attempt(analyzer, share_seconds)
        if not ended.run.ok:
            self.failed.add(analyzer.name)
        return ended

    def _attempt(self, analyzer: Analyzer, share_seconds: float) -> Ended:
        if self.failed.intersection(analyzer.needs):
            return build_failure(analyzer, AnalyzerError.DEPENDENCY_FAILED)
        if not _speaks(analyzer, self.call):
            return build_failure(analyzer, AnalyzerError.UNSUPPORTED_LANGUAGE)
        began = time.monotonic()

        def fail(code: AnalyzerError, trace: str = "") -> Ended:
            return build_failure(analyzer, code, seconds=time.monotonic() - began, trace=trace)

        try:
            with _alarm(share_seconds):
                findings = analyzer.run(self.call, self.shared)
        except _TimeIsUp:
            return fail(AnalyzerError.TIMED_OUT)
        except MemoryError:
            return fail(AnalyzerError.OUT_OF_MEMORY)
        except Exception:  # noqa: BLE001  the border of isolation: a fault is the analyser's own
            return fail(AnalyzerError.INTERNAL, traceback.format_exc())
        seconds = round(time.monotonic() - began, 4)
        run = AnalyzerRun(name=analyzer.name, version=analyzer.version, ok=True, seconds=seconds)
        return Ended(run, findings)


def _speaks(analyzer: Analyzer, call: Call) -> bool:
    """A call without words is in every language."""
    language = call.language.partition("-")[0].lower()
    return not analyzer.languages or language in analyzer.languages or not call.utterances


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise _TimeIsUp in the main thread after so many seconds."""
    old: Callable[[int, FrameType | None], object] | int | None
    old = signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def _ring(_signal: int, _frame: FrameType | None) -> None:
    raise _TimeIsUp
