"""Trackers: what counts as said, by whom and when."""

import pytest
from parlance.contracts.analysis.insights import TrackerResult, TrackerRule
from parlance.contracts.calls import Role
from parlance.inference.analysis.analyzers import trackers
from parlance.inference.analysis.documents import Unit

from tests.unit.inference.analysis import calls
from tests.unit.inference.analysis.calls import unit

AGENT, CUSTOMER = Role.AGENT, Role.CUSTOMER


def track(
    *said: Unit,
    phrases: tuple[str, ...],
    duration: float = 60.0,
    role: Role | None = None,
    first: float | None = None,
    last: float | None = None,
    negated: bool = False,
) -> TrackerResult:
    rule = TrackerRule(
        name="rule",
        phrases=phrases,
        role=role,
        first_seconds=first,
        last_seconds=last,
        negated=negated,
    )
    (result,) = trackers.apply_trackers(calls.build_call(*said, duration=duration), [rule])
    return result


@pytest.mark.parametrize(
    ("phrase", "content", "count"),
    [
        ("cancel my account", "I want to CANCEL, my account!", 1),
        ("follow-up", "a follow up and a Follow-Up", 2),
        ("i don't know", "I don’t know.", 1),
        ("cancel", "cancelled", 0),
        ("cancel*", "cancel cancelled cancellation uncancelled", 3),
        ("cancel* my *", "cancelling my account", 1),
        ("no no", "no no no", 2),
        ("cancel my account", "cancel account", 0),
        ("取消", "我要取消。", 1),
    ],
)
def test_a_phrase_is_words_in_order(phrase: str, content: str, count: int) -> None:
    result = track(unit(content), phrases=(phrase,))

    assert result.count == len(result.hits) == count
    assert result.matched is (count > 0)


def test_a_hit_says_who_said_what_where_and_when() -> None:
    # One second per character from second 10: "Well, " is 6 of them, "bad luck" 8.
    result = track(unit("Well, bad luck.", 10, speaker=1, id_="4-2"), phrases=("Bad Luck",))

    (hit,) = result.hits
    assert (hit.phrase, hit.speaker) == ("Bad Luck", "speaker_1")
    assert hit.span.model_dump() == {
        "start_seconds": 16,
        "end_seconds": 24,
        "segment_id": "4-2",
        "text": "bad luck",
    }


def test_a_phrase_may_run_on_into_the_speakers_next_segment() -> None:
    result = track(
        unit("cancel", 0, 6, id_="0-0"),
        unit("mm", 6, 8, speaker=1, id_="1-0"),
        unit("my account", 8, 18, id_="2-0"),
        phrases=("cancel my account",),
    )

    (hit,) = result.hits
    assert (hit.span.segment_id, hit.span.start_seconds, hit.span.end_seconds) == ("0-0", 0, 18)


def test_a_phrase_does_not_run_across_a_silence_or_to_another_speaker() -> None:
    pause = (unit("cancel my", 0, 6), unit("account", 9, 10))
    other = (unit("cancel my", 0, 6), unit("account", 6, 7, speaker=1))

    assert track(*pause, phrases=("cancel my account",)).count == 0
    assert track(*other, phrases=("cancel my account",)).count == 0


@pytest.mark.parametrize(
    ("first", "last", "times"),
    [
        (None, None, [0, 10, 20, 30, 50]),
        (10, None, [0, 10]),
        (9.99, None, [0]),
        (None, 10, [50]),
        (None, 9.99, []),
        (5, 30, [0, 30, 50]),
    ],
)
def test_a_hit_lies_in_a_window_by_its_start(
    first: float | None, last: float | None, times: list[float]
) -> None:
    said = [unit("hello", start, start + 1) for start in (0, 10, 20, 30, 50)]

    result = track(*said, phrases=("hello",), first=first, last=last)

    assert [hit.span.start_seconds for hit in result.hits] == times


def test_a_role_counts_only_what_its_speaker_said() -> None:
    said = (
        unit("sorry", 0, 1, role=AGENT),
        unit("sorry", 2, 3, speaker=1, role=CUSTOMER),
    )

    result = track(*said, phrases=("sorry",), role=CUSTOMER)

    assert [hit.speaker for hit in result.hits] == ["speaker_1"]


def test_a_negated_tracker_matches_what_was_not_said_in_time() -> None:
    late = unit("this call is recorded", 20, role=AGENT)

    missed = track(late, phrases=("call is recorded",), role=AGENT, first=15, negated=True)
    said = track(late, phrases=("call is recorded",), role=AGENT, negated=True)

    assert (missed.matched, missed.count) == (True, 0)
    assert (said.matched, said.count) == (False, 1)


@pytest.mark.parametrize("negated", [True, False])
def test_a_role_that_nobody_is_known_to_have_decides_nothing(negated: bool) -> None:
    result = track(unit("hello"), phrases=("hello",), role=AGENT, negated=negated)

    assert (result.matched, result.undecided) == (False, True)


@pytest.mark.parametrize("phrases", [(), ("",), ("?!", " ")])
def test_a_tracker_without_words_decides_nothing(phrases: tuple[str, ...]) -> None:
    result = track(unit("hello"), phrases=phrases, negated=True)

    assert (result.matched, result.undecided) == (False, True)


def test_in_a_call_without_words_nothing_was_said() -> None:
    assert track(phrases=("hello",)).matched is False
    assert track(phrases=("hello",), negated=True).matched is True


def test_all_hits_are_counted_and_the_first_are_kept() -> None:
    said = [unit("yes " * 50, n * 200, speaker=n % 2) for n in range(20)]

    result = track(*said, phrases=("yes",), duration=4000)

    assert result.count == 1000
    assert len(result.hits) == trackers.MAX_HITS
    # 50 a segment, one every 4 s: the first four segments.
    assert result.hits[-1].span.start_seconds == 3 * 200 + 49 * 4


def test_results_come_in_the_order_of_the_rules() -> None:
    rules = [TrackerRule(name=name, phrases=("hello",)) for name in ("b", "a", "b")]

    results = trackers.apply_trackers(calls.build_call(unit("hello")), rules)

    assert [(result.name, result.count) for result in results] == [("b", 1), ("a", 1), ("b", 1)]
