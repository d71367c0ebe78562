"""The language of `q`: what each form means, and that no text breaks it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parlance.api.domain.search import terms
from parlance.api.domain.search.terms import Alternative


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("refund invoice", Alternative(words=["refund", "invoice"])),
        ('"on monday"', Alternative(phrases=["on monday"])),
        ('the "on monday', Alternative(words=["the"], phrases=["on monday"])),
        ('it"on monday"', Alternative(words=["it"], phrases=["on monday"])),
        ("a -b", Alternative(words=["a"], excluded_words=["b"])),
        ("a --b", Alternative(words=["a"], excluded_words=["b"])),
        ('a -"b c"', Alternative(words=["a"], excluded_phrases=["b c"])),
        ("refun*", Alternative(prefixes=["refun"])),
        ("re*", Alternative(words=["re*"])),
        ("re-fund*", Alternative(words=["re-fund*"])),
        ("what & | ! :* ?", Alternative(words=["what"])),
    ],
)
def test_one_alternative(text: str, expected: Alternative) -> None:
    assert terms.parse(text) == [expected]


def test_alternatives_stand_between_or() -> None:
    found = terms.parse("or a b OR c or or")

    assert found == [Alternative(words=["a", "b"]), Alternative(words=["c"])]


@pytest.mark.parametrize("text", ["", "  ", "&|!()<->:*", '"', '""', "- -", "or", "-a", '-"a b"'])
def test_nothing_to_search_for(text: str) -> None:
    assert terms.parse(text) == []


@given(st.text(alphabet=st.sampled_from("ab\"-* orOR\\'&|!():<>é"), max_size=256))
def test_every_text_is_parsed_in_proportion_to_its_length(text: str) -> None:
    found = terms.parse(text)

    parts = [
        part
        for each in found
        for part in (*each.words, *each.phrases, *each.excluded_words, *each.excluded_phrases)
    ]
    assert sum(map(len, parts)) <= len(text)
    assert all(each.is_positive for each in found)
