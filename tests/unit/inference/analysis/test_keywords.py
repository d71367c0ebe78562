"""Keywords against C-values worked out by hand."""

from parlance.inference.analysis import stopwords
from parlance.inference.analysis.analyzers import keywords
from parlance.inference.analysis.analyzers.keywords import KeywordOptions

from tests.unit.inference.analysis.calls import sentence

STOP = frozenset({"my", "an", "and", "the", "is", "a"})


def scored(*contents: str, options: KeywordOptions = keywords.DEFAULT) -> dict[str, float]:
    found = keywords.find_keywords([sentence(c) for c in contents], STOP, options)
    return {keyword.text: keyword.score for keyword in found}


def test_a_phrase_scores_its_c_value() -> None:
    # "savings account" twice: log2(3) x 2 = 3.170. Its parts are not listed beside it.
    assert scored("Savings account.", "My savings account.", "An account.") == {
        "savings account": 3.17
    }


def test_a_word_counts_where_it_stands_alone() -> None:
    # "account" 3 times alone, once in "savings account": log2(2) x (4 - 1) = 3;
    # "savings account" log2(3) x 1 = 1.585 contains it and is left out; "savings" 1 - 1 = 0.
    assert scored("Account.", "Account.", "Account.", "Savings account.") == {
        "account": 3.0,
        "savings": 0.0,
    }


def test_equals_come_in_alphabetical_order() -> None:
    assert list(scored("Zebra is apple and mango.")) == ["apple", "mango", "zebra"]


def test_punctuation_stop_words_and_numbers_end_a_phrase() -> None:
    assert set(scored("Red, green the blue 42 black b2b white")) == {
        "red",
        "green",
        "blue",
        "black",
        "white",
    }


def test_phrases_have_at_most_three_words() -> None:
    # Of "w1 w2 w3 w4" both rows of three score log2(4) x 1 = 2.
    assert scored("alpha beta gamma delta") == {"alpha beta gamma": 2.0, "beta gamma delta": 2.0}


def test_a_keyword_comes_with_the_sentences_that_say_it() -> None:
    said = [sentence("A card.", start=n) for n in range(4)]

    (keyword,) = keywords.find_keywords(said, STOP, KeywordOptions(max_spans=2))

    assert keyword.count == 4
    assert [(s.start_seconds, s.text) for s in keyword.spans] == [(0, "A card."), (1, "A card.")]


def test_a_possessive_is_the_word_itself() -> None:
    assert scored("the bank's", "a bank") == {"bank": 2.0}


def test_in_a_long_call_a_phrase_must_be_said_twice() -> None:
    filler = ["card is card"] * 100

    assert set(scored(*filler, "the once")) == {"card"}


def test_only_the_best_are_given() -> None:
    assert list(scored("apple is apple and mango", options=KeywordOptions(limit=1))) == ["apple"]


def test_what_every_call_has_is_no_keyword() -> None:
    said = [sentence("Hello, thank you for calling, how can I help you today? One two three.")]

    assert keywords.find_keywords(said, stopwords.ENGLISH) == ()


def test_nothing_said_gives_no_keyword() -> None:
    assert keywords.find_keywords([], STOP) == ()
