"""Sentences across segments."""

from parlance.inference.analysis.analyzers import sentences
from parlance.inference.analysis.documents import Unit

from tests.unit.inference.analysis import calls
from tests.unit.inference.analysis.calls import unit


def found(*units: Unit) -> list[tuple[str, str, float, float]]:
    built = calls.build_call(*units)
    return [(s.speaker, s.text, s.start, s.end) for s in sentences.find_sentences(built)]


def test_a_segment_is_split_into_its_sentences() -> None:
    # One second per character: "Yes. " is 5 of them.
    assert found(unit("Yes. No.", 10)) == [
        ("speaker_0", "Yes.", 10, 14),
        ("speaker_0", "No.", 15, 18),
    ]


def test_an_unfinished_segment_goes_on_in_the_speakers_next() -> None:
    assert found(
        unit("I want", 0, 6),
        unit("Mm.", 5, 6, speaker=1),
        unit("a card. Now.", 7, 19),
    ) == [
        ("speaker_0", "I want a card.", 0, 14),
        ("speaker_1", "Mm.", 5, 6),
        ("speaker_0", "Now.", 15, 19),
    ]


def test_a_pause_ends_a_sentence() -> None:
    assert [s[1] for s in found(unit("I want", 0, 6), unit("a card.", 7.6, 9))] == [
        "I want",
        "a card.",
    ]


def test_a_sentence_names_the_segment_it_begins_in() -> None:
    built = calls.build_call(unit("Yes. I", 0, 6, id_="0-0"), unit("do.", 6, 9, id_="1-0"))

    assert [s.segment_id for s in sentences.find_sentences(built)] == ["0-0", "0-0"]


def test_speech_without_any_full_stop_stays_in_bounded_sentences() -> None:
    built = calls.build_call(*(unit("word " * 9, n, n + 1) for n in range(100)))

    lengths = [len(s.text.split()) for s in sentences.find_sentences(built)]

    assert sum(lengths) == 900
    assert max(lengths) <= 60
