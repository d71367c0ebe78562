"""Sentiment against numbers worked out by hand.

VADER: a sentence whose only word of the lexicon has valence v has compound v / sqrt(v^2 + 15).
"good" is 1.9, so 1.9 / sqrt(18.61) = 0.4404; "bad" is -2.5, so -2.5 / sqrt(21.25) = -0.5423.
"""

import pytest
from parlance.contracts.analysis.insights import AnalyzerError
from parlance.inference.analysis.analyzers import sentiment

from tests.unit.inference.analysis import calls
from tests.unit.inference.analysis.calls import unit

GOOD, BAD = 0.4404, -0.5423


@pytest.mark.parametrize(
    ("content", "score", "label"),
    [
        ("Good.", GOOD, "positive"),
        ("Bad.", BAD, "negative"),
        ("It is a chair.", 0.0, "neutral"),
        ("", 0.0, "neutral"),
        ("?!", 0.0, "neutral"),
        # 1 word at 0.4404 and 4 at 0: 0.4404 / 5
        ("Good. It is a chair.", 0.0881, "positive"),
        # (2 x 0.4404 - 1 x 0.5423) / 3 = 0.11283
        ("Good day. Bad.", 0.1128, "positive"),
        # 1.9 x -0.74 = -1.406; -1.406 / sqrt(1.9768 + 15) = -0.3412
        ("It is not good.", -0.3412, "negative"),
    ],
)
def test_a_text_is_the_mean_of_its_sentences_by_words(
    content: str, score: float, label: str
) -> None:
    scored = sentiment.score_text(content)

    assert (scored.score, scored.label) == (score, label)


@pytest.mark.parametrize(
    ("score", "label"),
    [(0.05, "positive"), (0.0499, "neutral"), (-0.0499, "neutral"), (-0.05, "negative")],
)
def test_labels_change_at_five_hundredths(score: float, label: str) -> None:
    assert sentiment.label_of(score) == label


def test_speakers_and_call_are_means_by_words() -> None:
    whole, by_segment = sentiment.score_document(
        calls.build_call(
            unit("Good.", 0, 1, id_="a"),
            unit("It is a chair.", 2, 3, id_="b"),
            unit("Bad.", 4, 5, id_="c", speaker=1),
        )
    )

    assert [by_segment[id_].score for id_ in "abc"] == [GOOD, 0.0, BAD]
    # (1 x 0.4404 + 4 x 0) / 5 and -0.5423 / 1
    assert [s.overall.score for s in whole.speakers] == [0.0881, BAD]
    # (0.4404 + 0 - 0.5423) / 6 = -0.01698
    assert whole.overall.score == -0.017


def test_quarters_take_segments_by_their_middle() -> None:
    whole, _ = sentiment.score_document(
        calls.build_call(
            unit("Good.", 0, 4),
            unit("Bad.", 9, 12),  # middle 10.5: second quarter of 40 s
            unit("Good.", 39, 40),
            duration=40,
        )
    )

    assert [quarter and quarter.score for quarter in whole.quarters] == [GOOD, BAD, None, GOOD]


@pytest.mark.parametrize(
    ("first", "last", "trend"),
    [
        ("Bad.", "Good.", "improving"),
        ("Good.", "Bad.", "deteriorating"),
        ("Good.", "Good.", "stable"),
        # 0.4404 / 5 = 0.0881 - 0: below 0.1
        ("It is a chair.", "Good. It is a chair.", "stable"),
        # 0.4404 / 4 = 0.1101 - 0
        ("It is a chair.", "Good. A red chair.", "improving"),
    ],
)
def test_the_trend_compares_the_last_third_with_the_first(
    first: str, last: str, trend: str
) -> None:
    whole, _ = sentiment.score_document(
        calls.build_call(unit(first, 0, 9), unit(last, 21, 30), duration=30)
    )

    assert whole.trend == trend
    assert whole.speakers[0].trend == trend


def test_a_trend_needs_both_ends() -> None:
    whole, _ = sentiment.score_document(calls.build_call(unit("Bad.", 0, 9), duration=30))

    assert whole.trend == "stable"


def test_a_speaker_without_words_has_no_sentiment() -> None:
    whole, _ = sentiment.score_document(
        calls.build_call(unit("Good.", 0, 1), voice=[[(0, 1)], [(2, 3)]])
    )

    assert [s.speaker for s in whole.speakers] == ["speaker_0"]


def test_it_applies_where_there_is_a_lexicon() -> None:
    analyzer = sentiment.SentimentAnalyzer()
    english, french = (
        calls.build_call(unit("Good."), language=language) for language in ("en-GB", "fr")
    )

    assert analyzer.applies_to(english) is None
    assert analyzer.applies_to(french) is AnalyzerError.UNSUPPORTED_LANGUAGE
