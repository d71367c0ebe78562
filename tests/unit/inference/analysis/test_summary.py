"""LexRank by hand, and the rules by which sentences are taken."""

import math
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from parlance.inference.analysis.analyzers import summary
from parlance.inference.analysis.analyzers.summary import SummaryOptions
from parlance.inference.analysis.passages import Sentence

from tests.unit.inference.analysis.calls import sentence


def taken(*said: Sentence, options: SummaryOptions = summary.DEFAULT) -> list[str]:
    found = summary.summarize(said, options)
    return [s.text for s in found.sentences] if found else []


def test_a_word_weighs_more_the_fewer_texts_have_it() -> None:
    one, other = summary.vectorize(["red car", "blue car"])

    # red: ln(1 + 2/1) = 1.0986; car: ln(1 + 2/2) = 0.6931; length sqrt(1.2069 + 0.4805) = 1.2990
    assert one["red"] == pytest.approx(0.8457, abs=1e-4)
    assert one["car"] == pytest.approx(0.5336, abs=1e-4)
    assert other["blue"] == pytest.approx(0.8457, abs=1e-4)


def test_similarity_is_the_cosine() -> None:
    rows = summary.compare(summary.vectorize(["red car", "blue car", "green tree"]))

    # With N = 3: red ln 4 = 1.3863, car ln 2.5 = 0.9163; length 1.6618; (0.9163 / 1.6618)^2
    assert rows[0][1] == rows[1][0] == pytest.approx(0.3041, abs=1e-4)
    assert rows[2] == {}


def test_scores_are_the_pagerank_of_the_similarities() -> None:
    # 0 and 1 are alike, 2 is like none and spreads evenly:
    # y = 0.15/3 + 0.85 y / 3 = 0.05 / (1 - 0.28333) = 0.069767; the others (1 - y) / 2 = 0.465116.
    scores = summary.rank([{1: 0.3}, {0: 0.3}, {}])

    assert scores == pytest.approx([0.465116, 0.465116, 0.069767], abs=1e-5)


def test_the_most_central_come_first_in_score_and_stay_in_call_order() -> None:
    found = summary.summarize(
        [
            sentence("The weather over there was nice.", start=0),
            sentence("I lost my debit card yesterday.", start=1),
            sentence("A debit card costs ten dollars.", start=2),
            sentence("Your debit card gets replaced soon.", start=3),
        ]
    )

    assert found is not None
    assert found.text == (
        "I lost my debit card yesterday. A debit card costs ten dollars. "
        "Your debit card gets replaced soon."
    )
    assert [s.span.start_seconds for s in found.sentences] == [1, 2, 3]


def test_one_speaker_gets_at_most_two_thirds() -> None:
    said = [sentence(f"I lost my debit card number {n}{n}{n}.", start=n) for n in range(5)]
    other = sentence("Completely different words over there.", speaker=1, start=9)

    picked = summary.summarize([*said, other], SummaryOptions(max_similarity=2))

    assert picked is not None
    assert Counter(s.speaker for s in picked.sentences) == {"speaker_0": 2, "speaker_1": 1}


def test_a_repeated_sentence_is_taken_once() -> None:
    again = [sentence("I lost my debit card yesterday.", start=n) for n in range(5)]

    assert taken(*again) == ["I lost my debit card yesterday."]


def test_short_sentences_serve_only_when_there_are_no_others() -> None:
    assert taken(sentence("Oh dear."), sentence("I lost my debit card.", start=1)) == [
        "I lost my debit card."
    ]
    assert taken(sentence("Oh dear.")) == ["Oh dear."]


@pytest.mark.parametrize(("said", "picked"), [(2, 2), (30, 3), (75, 5), (600, 8)])
def test_the_summary_grows_with_the_call_within_limits(said: int, picked: int) -> None:
    # One for 15: 30 / 15 = 2 (at least 3), 75 / 15 = 5, 600 / 15 = 40 (at most 8).
    sentences = [
        sentence(f"word{n} other{n} third{n} fourth{n} fifth", start=n) for n in range(said)
    ]

    assert len(taken(*sentences)) == picked


def test_nothing_said_has_no_summary() -> None:
    assert summary.summarize([]) is None
    assert summary.summarize([sentence("?!")]) is None


WORDS = st.lists(st.sampled_from(["card", "lost", "bank", "money", "the", "red", "of"]), max_size=9)


@given(st.lists(WORDS, max_size=30))
@example(
    [  # each of the three scores is rounded up
        ["card", "card", "card", "lost", "bank", "bank"],
        ["card", "card", "lost", "lost", "lost", "the"],
        ["card", "card", "bank", "money", "the", "the"],
    ]
)
def test_scores_are_a_distribution_and_sentences_are_verbatim(bags: list[list[str]]) -> None:
    said = [sentence(" ".join(bag), start=n, speaker=n % 2) for n, bag in enumerate(bags)]

    found = summary.summarize(said)

    if found is not None:
        starts = [s.span.start_seconds for s in found.sentences]
        assert starts == sorted(set(starts))
        assert {s.text for s in found.sentences} <= {s.text for s in said}
        assert all(0 < s.score <= 1 for s in found.sentences)
        rounding = 0.5e-6 * len(found.sentences)
        assert math.fsum(s.score for s in found.sentences) <= 1 + rounding + 1e-12
