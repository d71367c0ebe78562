"""Keys of results: the same options give the same key, others another one."""

from parlance.contracts.analysis.insights import TrackerRule, TrackerRules
from parlance.inference.analysis import profiles
from parlance.inference.analysis.analyzers.keywords import KeywordAnalyzer, KeywordOptions
from parlance.inference.analysis.analyzers.metrics import MetricsAnalyzer
from parlance.inference.analysis.analyzers.trackers import TrackerAnalyzer


def build_trackers(*phrases: str) -> TrackerAnalyzer:
    return TrackerAnalyzer(TrackerRules(rules=(TrackerRule(name="x", phrases=phrases),)))


def test_the_rules_of_a_company_are_part_of_the_key() -> None:
    one, same, other = (
        profiles.hash_config(build_trackers(phrase)) for phrase in ("refund", "refund", "cancel")
    )

    assert one == same
    assert one != other


def test_options_are_part_of_the_key() -> None:
    usual, longer = KeywordAnalyzer(), KeywordAnalyzer(KeywordOptions(limit=20))

    assert profiles.hash_config(usual) != profiles.hash_config(longer)


def test_an_analyser_without_options_has_an_empty_hash() -> None:
    assert profiles.hash_config(MetricsAnalyzer()) == ""


def test_the_hash_is_stable_over_versions_of_the_program() -> None:
    """It stands in stored results; a change of it must be meant."""
    assert profiles.hash_config(KeywordAnalyzer()) == "777d23393a3aeed0"
