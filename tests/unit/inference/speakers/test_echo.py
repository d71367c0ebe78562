"""Echo between channels."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parlance.contracts.calls import Segment, Speech
from parlance.inference.speakers import echo

from tests.unit.inference.analysis.calls import segment

LOUD = segment("I would like to check my balance, please.", 10, 14, id_="loud")
FAINT = segment("i would like to check my balance", 10.2, 14, channel=1, id_="faint")
LEVELS = {"loud": -20.0, "faint": -35.0}


def test_the_faint_copy_is_an_echo() -> None:
    assert echo.find_echoes([LOUD, FAINT], LEVELS) == {"faint"}


@pytest.mark.parametrize(
    "other",
    [
        segment("yes that is fine with me", 10.2, 14, channel=1, id_="faint"),
        segment("I would like to check my balance", 15, 19, channel=1, id_="faint"),
        segment("I would like to check my balance", 10.2, 14, channel=0, id_="faint"),
        segment("my balance", 13, 14, channel=1, id_="faint"),
        # 2 s of 5 together: below 60 %
        segment("I would like to check my balance", 12, 17, channel=1, id_="faint"),
        # 6 of 8 words: below 80 %
        segment("I would like to check oh hi balance", 10.2, 14, channel=1, id_="faint"),
    ],
    ids=["other words", "other time", "same channel", "two words", "little time", "own words"],
)
def test_speech_of_ones_own_is_kept(other: Segment) -> None:
    assert echo.find_echoes([LOUD, other], LEVELS) == frozenset()


@pytest.mark.parametrize(
    "levels", [{"loud": -20.0, "faint": -25.9}, {"loud": -20.0}, {}], ids=["close", "one", "none"]
)
def test_without_a_clear_difference_in_loudness_both_are_kept(levels: dict[str, float]) -> None:
    assert echo.find_echoes([LOUD, FAINT], levels) == frozenset()


def test_an_echo_goes_with_its_voice() -> None:
    speech = [
        Speech(channel=0, spans=((10, 14),)),
        Speech(channel=1, spans=((9, 11), (12, 13), (13.5, 16))),
    ]

    segments, rest = echo.drop_echoes([LOUD, FAINT], speech, LEVELS)

    assert segments == (LOUD,)
    # 10.2 to 14 is cut out.
    assert [track.spans for track in rest] == [((10, 14),), ((9, 10.2), (14, 16))]


def test_without_echoes_nothing_changes() -> None:
    speech = (Speech(channel=0, spans=((10, 14),)),)

    assert echo.drop_echoes([LOUD], speech, LEVELS) == ((LOUD,), speech)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=12),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=12),
)
def test_what_is_left_of_voice_is_exactly_what_no_echo_covers(
    voice: list[tuple[int, int]], echoes: list[tuple[int, int]]
) -> None:
    """Compared second by second; voice of one channel does not overlap itself."""
    spans: list[tuple[float, float]] = []
    for start, length in sorted(voice):
        begin = max(start, spans[-1][1] if spans else 0)
        if length:
            spans.append((begin, begin + length))
    words = "i would like to check my balance"
    pairs = [
        (
            segment(words, start, start + length, channel=0, id_=f"loud-{number}"),
            segment(words, start, start + length, channel=1, id_=f"faint-{number}"),
        )
        for number, (start, length) in enumerate(echoes)
    ]
    levels = {one.id: -20.0 if one.channel == 0 else -40.0 for pair in pairs for one in pair}

    _, (track,) = echo.drop_echoes(
        [one for pair in pairs for one in pair], [Speech(channel=1, spans=tuple(spans))], levels
    )

    def seconds(parts: Iterable[tuple[float, float]]) -> set[int]:
        return {second for start, end in parts for second in range(int(start), int(end))}

    covered = {second for start, length in echoes for second in range(start, start + length)}
    assert seconds(track.spans) == seconds(spans) - covered
    assert all(start < end for start, end in track.spans)
