"""A call as a document: tracks, durations, places of words."""

import pytest
from parlance.contracts.calls import Role, Word
from parlance.inference.calls import documents

from tests.unit.inference.analysis import calls
from tests.unit.inference.analysis.calls import unit


def test_a_lone_speaker_owns_the_voice_of_the_channel() -> None:
    built = calls.build_call(unit("hi", 1, 2), voice=[[(0.5, 2.5), (4, 5)]])

    assert [(t.speaker, t.spans) for t in built.tracks] == [
        ("speaker_0", ((500, 2500), (4000, 5000)))
    ]


def test_speakers_of_one_channel_share_its_voice_by_their_segments() -> None:
    one = unit("hi", 0, 4)._replace(speaker="a")
    two = unit("ho", 5, 9)._replace(speaker="b")

    built = calls.build_call(one, two, voice=[[(1, 8)]])

    assert {t.speaker: t.spans for t in built.tracks} == {
        "a": ((1000, 4000),),
        "b": ((5000, 8000),),
    }


def test_a_channel_that_was_not_measured_falls_back_on_its_segments() -> None:
    built = calls.build_call(unit("hi", 1, 2), unit("ho", 3, 4, speaker=1), voice=[[]])

    assert {t.speaker: t.spans for t in built.tracks} == {
        "speaker_0": (),
        "speaker_1": ((3000, 4000),),
    }


def test_voice_without_words_belongs_to_the_channels_speaker() -> None:
    built = calls.build_call(unit("hi", 1, 2, role=Role.AGENT), voice=[[(1, 2)], [(3, 4)]])

    assert [(t.speaker, t.role) for t in built.tracks] == [
        ("speaker_0", Role.AGENT),
        ("speaker_1", Role.UNKNOWN),
    ]


def test_the_call_lasts_to_the_end_of_the_last_voice() -> None:
    assert calls.build_call(voice=[[(50, 61.25)]], duration=60).duration_ms == 61_250
    assert calls.build_call(voice=[[(50, 59)]], duration=60).duration_ms == 60_000


def test_without_word_times_a_place_is_its_share_of_the_characters() -> None:
    # 20 characters in 10 s: half a second each.
    said = unit("0123456789 123456789", 100, 110)

    assert said.locate(0, 10) == (100, 105)
    assert said.locate(11, 20) == (105.5, 110)


def test_word_times_say_when_a_word_was_said() -> None:
    said = unit("Oh, my word.", 0, 12, word_times=((1, 2), (5, 6), (8, 9.5)))

    assert said.locate(4, 11) == (5, 9.5)
    assert said.locate(0, 2) == (1, 2)


def test_word_times_that_do_not_fit_the_text_are_not_used() -> None:
    said = unit("0123456789", 0, 10, word_times=((1, 2), (3, 4)))

    assert said.locate(5, 10) == (5, 10)


def test_segments_keep_their_word_times() -> None:
    segment = calls.segment("Hi", 1, 2).model_copy(
        update={"words": (Word(text="Hi", start_seconds=1.25, end_seconds=1.75),)}
    )

    (unit_,) = documents.build_document(calls.transcript(segment)).units

    assert unit_.word_times == ((1.25, 1.75),)


@pytest.mark.parametrize("content", ["", " "])
def test_an_empty_text_has_a_place_too(content: str) -> None:
    assert unit(content, 1, 2).locate(0, len(content)) == (1, 1 + len(content))
