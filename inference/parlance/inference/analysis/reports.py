"""How an analyser fared, as its `AnalyzerRun`; the texts name neither words nor internals. Pure."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from parlance.contracts.analysis.insights import AnalyzerError, AnalyzerRun
from parlance.inference.analysis import profiles
from parlance.inference.analysis.analyzers.base import Findings

MESSAGES = {
    AnalyzerError.UNSUPPORTED_LANGUAGE: "It does not know the language of this text.",
    AnalyzerError.NEEDS_VOICE: "It measures speech, and this is text.",
    AnalyzerError.NEEDS_TEXT: "It measures written messages, and this was spoken.",
    AnalyzerError.RULES_UNREADABLE: "The company's tracker rules could not be read.",
    AnalyzerError.DEPENDENCY_FAILED: "An analyser whose result it needs has failed.",
    AnalyzerError.TIMED_OUT: "It did not finish in its share of the time.",
    AnalyzerError.OUT_OF_MEMORY: "It needed more memory than analysis may use.",
    AnalyzerError.CRASHED: "The analysis process ended while it ran.",
    AnalyzerError.INTERNAL: "It failed; the worker's log has the details.",
}


class Named(Protocol):
    """An analyser of the analysis process, or a remote one."""

    name: ClassVar[str]
    version: ClassVar[str]


@dataclass(frozen=True, slots=True)
class Ended:
    """How an analyser fared, and what it found."""

    run: AnalyzerRun
    findings: Findings | None = None
    trace: str = ""
    """For the log only: an error's text may hold words of the call."""


def build_success(analyzer: Named, findings: Findings, *, seconds: float) -> Ended:
    run = AnalyzerRun(
        name=analyzer.name,
        version=analyzer.version,
        config=profiles.hash_config(analyzer),
        ok=True,
        seconds=round(seconds, 4),
    )
    return Ended(run, findings)


def build_failure(
    analyzer: Named, code: AnalyzerError, *, seconds: float = 0.0, trace: str = ""
) -> Ended:
    run = AnalyzerRun(
        name=analyzer.name,
        version=analyzer.version,
        config=profiles.hash_config(analyzer),
        ok=False,
        seconds=round(seconds, 4),
        error_code=code,
        error=MESSAGES[code],
    )
    return Ended(run, trace=trace)
