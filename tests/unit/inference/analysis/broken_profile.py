"""Analysers that misbehave, run in the analysis process by `test_pipeline`."""

import math
import os
import signal
import time
from dataclasses import dataclass
from typing import ClassVar

from parlance.contracts.analysis.insights import Span, Summary, SummarySentence, TrackerRules
from parlance.inference.analysis import profiles
from parlance.inference.analysis.analyzers.base import Analyzer, Findings, ForEverything, Shared
from parlance.inference.analysis.analyzers.summary import SummaryFindings
from parlance.inference.analysis.documents import Document

_SPAN = Span(start_seconds=0.0, end_seconds=1.0)


@dataclass(frozen=True, slots=True)
class Misbehaving(ForEverything):
    """Does what its subclass does, where `summary` would run."""

    name: ClassVar[str] = "summary"
    version: ClassVar[str] = "broken"
    needs: ClassVar[tuple[str, ...]] = ("sentences",)


class Raising(Misbehaving):
    def run(self, document: Document, shared: Shared) -> Findings:
        raise ValueError("secret words of the call")


class Spinning(Misbehaving):
    def run(self, document: Document, shared: Shared) -> Findings:
        while True:
            pass


class Deaf(Misbehaving):
    """Hangs with its timer switched off, as a C function would."""

    def run(self, document: Document, shared: Shared) -> Findings:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        while True:
            time.sleep(1)


class Greedy(Misbehaving):
    def run(self, document: Document, shared: Shared) -> Findings:
        hoard: list[bytearray] = []
        while True:
            hoard.append(bytearray(2**20))


class Dying(Misbehaving):
    def run(self, document: Document, shared: Shared) -> Findings:
        os.kill(os.getpid(), signal.SIGKILL)
        return Findings()


class Noisy(Misbehaving):
    def run(self, document: Document, shared: Shared) -> Findings:
        os.write(1, b"this is no frame\n")
        return Findings()


class FailingFirst(Misbehaving):
    name: ClassVar[str] = "sentences"
    needs: ClassVar[tuple[str, ...]] = ()

    def run(self, document: Document, shared: Shared) -> Findings:
        raise ValueError


def _replace(culprit: Analyzer) -> tuple[Analyzer, ...]:
    return tuple(
        culprit if analyzer.name == culprit.name else analyzer
        for analyzer in profiles.build_lexical(TrackerRules())
    )


def build_raising(_rules: TrackerRules | None) -> tuple[Analyzer, ...]:
    return _replace(Raising())


def build_spinning(_rules: TrackerRules | None) -> tuple[Analyzer, ...]:
    return _replace(Spinning())


def build_deaf(_rules: TrackerRules | None) -> tuple[Analyzer, ...]:
    return _replace(Deaf())


def build_greedy(_rules: TrackerRules | None) -> tuple[Analyzer, ...]:
    return _replace(Greedy())


def build_dying(_rules: TrackerRules | None) -> tuple[Analyzer, ...]:
    return _replace(Dying())


def build_noisy(_rules: TrackerRules | None) -> tuple[Analyzer, ...]:
    return _replace(Noisy())


def build_failing_first(_rules: TrackerRules | None) -> tuple[Analyzer, ...]:
    return _replace(FailingFirst())


class Nonsense(Misbehaving):
    """A figure that JSON cannot carry: it leaves the process as null."""

    def run(self, document: Document, shared: Shared) -> Findings:
        summary = SummarySentence(text="", speaker="", score=math.nan, span=_SPAN)
        return SummaryFindings(summary=Summary(text="", sentences=(summary,)))


def build_nonsense(_rules: TrackerRules | None) -> tuple[Analyzer, ...]:
    return _replace(Nonsense())
