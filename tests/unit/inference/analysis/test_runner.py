"""The order of analysers, and what a second process does again."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
from parlance.contracts.analysis.insights import AnalyzerError, TrackerRules
from parlance.inference.analysis import profiles
from parlance.inference.analysis.analyzers.base import Findings, ForEverything, Shared
from parlance.inference.analysis.documents import Document
from parlance.inference.analysis.isolation import runner
from parlance.inference.analysis.isolation.runner import Began, Past
from parlance.inference.analysis.reports import Ended

from tests.unit.inference.analysis import calls
from tests.unit.inference.analysis.calls import unit

LEXICAL = profiles.build_lexical(TrackerRules())
OF_CALLS = profiles.list_for(calls.build_call(), LEXICAL)


@dataclass(frozen=True, slots=True)
class Orphan(ForEverything):
    name: ClassVar[str] = "orphan"
    version: ClassVar[str] = "1"
    needs: ClassVar[tuple[str, ...]] = ("nobody",)

    def run(self, document: Document, shared: Shared) -> Findings:
        return Findings()


def ran(past: Past | None = None, language: str = "en") -> list[Ended]:
    document = calls.build_call(unit("Good day."), language=language)
    reports = runner.run_analyzers(document, OF_CALLS, budget_seconds=10, past=past)
    return [report for report in reports if isinstance(report, Ended)]


def test_each_runs_after_what_it_needs() -> None:
    order = [analyzer.name for analyzer in profiles.plan_order(tuple(reversed(LEXICAL)))]

    assert sorted(order) == sorted(analyzer.name for analyzer in LEXICAL)
    for analyzer in LEXICAL:
        assert all(order.index(need) < order.index(analyzer.name) for need in analyzer.needs)


def test_a_need_that_nobody_meets_is_an_error_of_the_profile() -> None:
    with pytest.raises(KeyError):
        profiles.plan_order((Orphan(),))


def test_each_may_use_an_equal_share_of_what_is_left() -> None:
    document = calls.build_call()

    shares = [
        report.share_seconds
        for report in runner.run_analyzers(document, OF_CALLS, budget_seconds=60)
        if isinstance(report, Began)
    ]

    # 60 / 8 at first; what the quick ones leave falls to the later ones: 60 / 1 in the end.
    assert shares[0] == pytest.approx(7.5, abs=0.5)
    assert shares[-1] == pytest.approx(60, abs=3)
    assert shares == sorted(shares)


def test_a_second_process_does_only_what_is_left_and_what_that_needs() -> None:
    past = Past(
        done=("language", "sentences", "metrics", "sentiment", "trackers", "pii"),
        failed=("keywords",),
    )

    assert {ended.run.name for ended in ran(past)} == {"sentences", "summary"}


def test_a_second_process_does_not_do_what_nobody_needs() -> None:
    past = Past(
        done=("language", "sentences", "metrics", "keywords", "summary", "pii"),
        failed=("sentiment",),
    )

    assert {ended.run.name for ended in ran(past)} == {"trackers"}


def test_what_needs_the_lost_one_fails_with_it() -> None:
    codes = {ended.run.name: ended.run.error_code for ended in ran(Past(failed=("sentences",)))}

    assert codes["metrics"] == AnalyzerError.DEPENDENCY_FAILED
    assert codes["sentiment"] is None


@pytest.mark.parametrize("language", ["en", "EN-us"])
def test_a_regional_english_is_english(language: str) -> None:
    assert all(ended.run.ok for ended in ran(language=language))
