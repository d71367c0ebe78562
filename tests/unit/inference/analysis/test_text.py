"""Words and sentences."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parlance.inference.analysis import text


def sentences_of(content: str) -> list[str]:
    return [content[begin:end] for begin, end in text.split_sentences(content)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Hello there. How are you? Fine!", ["Hello there.", "How are you?", "Fine!"]),
        ("It costs 5.50 dollars. Really", ["It costs 5.50 dollars.", "Really"]),
        ("Dr. Smith is here. Mr. T. too.", ["Dr. Smith is here.", "Mr. T. too."]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("Well... I see.", ["Well...", "I see."]),
        ("你好。再见。", ["你好。", "再见。"]),
        ("  ", []),
        ("", []),
    ],
)
def test_sentences_end_where_people_end_them(content: str, expected: list[str]) -> None:
    assert sentences_of(content) == expected


def test_a_text_without_full_stops_is_cut() -> None:
    pieces = sentences_of("word " * 130)

    assert [len(piece.split()) for piece in pieces] == [60, 60, 10]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Is it?", True),
        ("Is it?!", True),
        ('"Is it?"', True),
        ("真的吗？", True),
        ("It is.", False),
        ("?", True),
        ("", False),
        ("Is it? Yes", False),
    ],
)
def test_a_question_ends_with_its_mark(sentence: str, expected: bool) -> None:
    assert text.is_question(sentence) is expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("I don't know.", 3),
        ("It's 5.50, please - now", 4),
        ("follow-up", 1),
        ("... ?! ♪", 0),
        ("", 0),
    ],
)
def test_words_are_counted_as_people_count_them(content: str, expected: int) -> None:
    assert text.count_words(content) == expected


@given(st.text() | st.text(alphabet="a1_é². '\n\u3000\x1c字"))
def test_a_part_counts_if_it_holds_a_letter_or_digit(content: str) -> None:
    parts = [part for part in content.split() if any(map(str.isalnum, part))]

    assert text.count_words(content) == len(parts)


def test_words_are_compared_without_case_and_with_plain_apostrophes() -> None:
    assert [word.text for word in text.split_words("DON’T Straße 'quoted'")] == [
        "don't",
        "strasse",
        "quoted",
    ]


@given(st.text())
def test_words_lie_where_they_say(content: str) -> None:
    for word in text.split_words(content):
        assert content[word.begin : word.end].replace("’", "'").casefold() == word.text


@given(st.text(alphabet="ab .?!'。\n"))
def test_sentences_hold_all_of_the_text_but_spaces(content: str) -> None:
    assert "".join("".join(sentences_of(content)).split()) == "".join(content.split())
    assert all(sentence and sentence == sentence.strip() for sentence in sentences_of(content))


@pytest.mark.parametrize("piece", [".", "?", '."', "a.", ". ", "'", "a'", "' ", "? "])
def test_hostile_text_takes_linear_time(piece: str) -> None:
    content = piece * 100_000 + "x"
    began = time.process_time()

    for begin, end in text.split_sentences(content):
        text.is_question(content[begin:end])
    list(text.split_words(content))

    assert time.process_time() - began < 5
