"""Analysers that ask another service, such as a language model: awaited beside the analysis
process, each with a deadline of its own. One that fails costs only itself.
"""

import asyncio
import time
import traceback
from collections.abc import Sequence
from typing import ClassVar, Protocol

from parlance.contracts.analysis.insights import AnalyzerError
from parlance.inference.analysis import reports
from parlance.inference.analysis.analyzers.base import Findings
from parlance.inference.analysis.documents import Document
from parlance.inference.analysis.reports import Ended


class RemoteAnalyzer(Protocol):
    """Like an `analyzers.base.Analyzer`, but it waits instead of computing; as hashable."""

    name: ClassVar[str]
    version: ClassVar[str]

    @property
    def timeout_seconds(self) -> float: ...

    def applies_to(self, document: Document) -> AnalyzerError | None: ...
    async def run(self, document: Document) -> Findings: ...


async def run_all(analyzers: Sequence[RemoteAnalyzer], document: Document) -> list[Ended]:
    """All at once, in the order of `analyzers`. Raises only when it is cancelled."""
    return list(await asyncio.gather(*(_run(analyzer, document) for analyzer in analyzers)))


async def _run(analyzer: RemoteAnalyzer, document: Document) -> Ended:
    began = time.monotonic()

    def fail(code: AnalyzerError, trace: str = "") -> Ended:
        seconds = time.monotonic() - began
        return reports.build_failure(analyzer, code, seconds=seconds, trace=trace)

    try:
        reason = analyzer.applies_to(document)
        if reason is not None:
            return fail(reason)
        async with asyncio.timeout(analyzer.timeout_seconds):
            findings = await analyzer.run(document)
    except TimeoutError:
        return fail(AnalyzerError.TIMED_OUT)
    except Exception:  # noqa: BLE001 - the border of isolation: a fault is the analyser's own
        return fail(AnalyzerError.INTERNAL, traceback.format_exc())
    return reports.build_success(analyzer, findings, seconds=time.monotonic() - began)
