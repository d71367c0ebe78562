"""Marked pieces of texts."""

from hypothesis import given
from hypothesis import strategies as st
from parlance.api.domain.search import highlights
from parlance.api.domain.search.highlights import Highlight, Marker, Part, Text
from parlance.api.domain.search.queries import Query


def build_marker(*words: str, prefixes: tuple[str, ...] = ()) -> Marker:
    return Marker(Query("x", "x", words, prefixes))


def mark_one(marker: Marker, text: str) -> Highlight:
    [found] = marker.mark([Text("message", 0, text)])
    return found


def join(found: Highlight) -> str:
    return "".join(part.text for part in found.parts)


def list_matches(found: Highlight) -> list[str]:
    return [part.text for part in found.parts if part.match]


def test_words_are_marked_where_they_stand_alone() -> None:
    found = mark_one(build_marker("refund"), "Refund? A refunded REFUND, re_refund_x.")

    assert found.parts == [
        Part("Refund", match=True),
        Part("? A refunded ", match=False),
        Part("REFUND", match=True),
        Part(", re_", match=False),
        Part("refund", match=True),
        Part("_x.", match=False),
    ]


def test_beginnings_mark_the_whole_word() -> None:
    found = mark_one(build_marker(prefixes=("refun",)), "a refunded order")

    assert list_matches(found) == ["refunded"]


def test_markup_in_the_text_is_text() -> None:
    text = "<mark>refund</mark> <b>x</b> .* (refund)"

    assert join(mark_one(build_marker("refund"), text)) == text


def test_a_long_text_is_cut_around_the_first_word() -> None:
    text = "far " * 1000 + "the refund " + "away " * 1000
    found = mark_one(build_marker("refund"), text)

    assert list_matches(found) == ["refund"]
    assert join(found).startswith("…far ")
    assert join(found).endswith("away…")
    assert len(join(found)) <= highlights.MAX_CHARACTERS + 2


def test_a_text_without_spaces_is_cut_too() -> None:
    found = mark_one(build_marker("refund"), "-" * 1000 + "refund" + "-" * 1000)

    assert list_matches(found) == ["refund"]
    assert len(join(found)) <= highlights.MAX_CHARACTERS + 2


def test_texts_with_more_of_the_words_come_first() -> None:
    texts = ["a b", "nothing", "b a c", "a", "a", "a"]
    found = build_marker("a", "b", "c").mark(
        [Text("message", index, text) for index, text in enumerate(texts)]
    )

    assert [each.index for each in found] == [2, 0, 3]


def test_a_word_within_others_only_is_no_highlight() -> None:
    assert build_marker("fun").mark([Text("subject", None, "refund")]) == []


@given(st.text(alphabet="ab -<é\n", max_size=600), st.sampled_from(["a", "b", "a-b", "é"]))
def test_the_parts_are_a_piece_of_the_text(text: str, word: str) -> None:
    for found in build_marker(word).mark([Text("message", 0, text)]):
        assert join(found).strip("…") in text
        assert list_matches(found)
