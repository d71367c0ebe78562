"""Analysers that ask another service: awaited beside the others, each failing alone."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from parlance.contracts.analysis.insights import AnalyzerError
from parlance.contracts.calls import Role
from parlance.contracts.values import Value
from parlance.inference.analysis import pipeline
from parlance.inference.analysis.analyzers.base import Findings, check_language
from parlance.inference.analysis.documents import Document, Unit
from pydantic import JsonValue

DOCUMENT = Document([Unit("0", "speaker_0", Role.UNKNOWN, 0.0, 1.0, "Hello there.")], "en", 1000)


class Topics(Findings):
    extra: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Remote:
    """Answers after a while, or not at all."""

    name: ClassVar[str] = "topics"
    version: ClassVar[str] = "1"
    pause_seconds: float = 0.0
    fault: bool = False
    languages: tuple[str, ...] = ("en",)
    timeout_seconds: float = 0.2

    def applies_to(self, document: Document) -> AnalyzerError | None:
        return check_language(document, self.languages)

    async def run(self, document: Document) -> Topics:
        await asyncio.sleep(self.pause_seconds)
        if self.fault:
            raise ConnectionError("secret words of the call")
        return Topics(extra={"topics": [unit.text for unit in document.units]})


class Slow(Remote):
    name: ClassVar[str] = "slow"


class Broken(Remote):
    name: ClassVar[str] = "broken"


class French(Remote):
    name: ClassVar[str] = "french"


async def test_each_fails_alone_and_the_local_ones_do_not_notice() -> None:
    remotes = [
        Remote(),
        Slow(pause_seconds=60),
        Broken(fault=True),
        French(languages=("fr",)),
    ]

    async with pipeline.open_analyst(remote_analyzers=remotes) as analyst:
        analysis = await analyst.analyze(DOCUMENT)

    insights = analysis.build_insights(call_id="call", attempt=1)
    assert insights.extra == {"topics": ["Hello there."]}
    assert insights.metrics is not None
    assert {run.name: run.error_code for run in insights.analyzers if not run.ok} == {
        "slow": AnalyzerError.TIMED_OUT,
        "broken": AnalyzerError.INTERNAL,
        "french": AnalyzerError.UNSUPPORTED_LANGUAGE,
    }
    assert "secret" not in insights.model_dump_json()


def test_findings_are_fields_of_the_contract() -> None:
    assert issubclass(Topics, Value)
