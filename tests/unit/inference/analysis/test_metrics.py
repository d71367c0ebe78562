"""Every metric against numbers worked out by hand, and what must hold for any call."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parlance.contracts.analysis.insights import CallMetrics, SpeakerMetrics
from parlance.inference.analysis import turns
from parlance.inference.analysis.analyzers import metrics, sentences
from parlance.inference.analysis.documents import Unit

from tests.unit.inference.analysis import calls
from tests.unit.inference.analysis.calls import Times, unit

# The worked example of docs/reference/insights.md: 60 s.
A = [(1, 5), (5.5, 9), (20, 30), (45, 52)]
B = [(10, 14), (24, 24.6), (29.5, 38)]


def measure(*voice: Times, duration: float = 60.0, said: tuple[Unit, ...] = ()) -> CallMetrics:
    built = calls.build_call(*said, voice=voice, duration=duration)
    return metrics.measure_document(built, sentences.find_sentences(built))


def pair(measured: CallMetrics) -> tuple[SpeakerMetrics, SpeakerMetrics]:
    one, other = measured.speakers
    return one, other


def test_talk_is_the_voice_of_each_speaker() -> None:
    measured = measure(A, B)

    # A talks 4 + 3.5 + 10 + 7 s, B 4 + 0.6 + 8.5 s.
    assert [s.talk_seconds for s in measured.speakers] == [24.5, 13.1]
    assert measured.talk_seconds == 37.6


def test_overlap_is_talk_beyond_the_time_in_which_anybody_speaks() -> None:
    # Anybody: 1-5, 5.5-9, 10-14, 20-38, 45-52 = 36.5; 37.6 - 36.5
    assert measure(A, B).overlap_seconds == 1.1


def test_silence_is_time_in_which_nobody_speaks() -> None:
    measured = measure(A, B)

    # 60 - 36.5, and 23.5 / 60
    assert measured.silence_seconds == 23.5
    assert round(measured.silence_ratio, 4) == 0.3917


def test_silences_of_three_seconds_are_listed() -> None:
    # Free: 0-1, 5-5.5, 9-10, 14-20, 38-45, 52-60
    assert [(s.start_seconds, s.end_seconds) for s in measure(A, B).silences] == [
        (14, 20),
        (38, 45),
        (52, 60),
    ]


def test_the_talk_ratio_is_the_share_of_all_talk() -> None:
    # 24.5 / 37.6 and 13.1 / 37.6
    assert [round(s.talk_ratio, 4) for s in measure(A, B).speakers] == [0.6516, 0.3484]


def test_listening_is_the_time_in_which_only_others_speak() -> None:
    # 36.5 - 24.5 and 36.5 - 13.1
    assert [s.listen_seconds for s in measure(A, B).speakers] == [12.0, 23.4]


def test_turns_leave_out_pauses_and_backchannels() -> None:
    measured = measure(A, B)

    # A 1-9, B 10-14, A 20-30 (B's 24-24.6 inside is a backchannel), B 29.5-38, A 45-52
    assert [s.turns for s in measured.speakers] == [3, 2]
    assert measured.turns_per_minute == 5.0


def test_the_longest_monologue_is_the_longest_turn() -> None:
    # A: 8, 10, 7; B: 4, 8.5
    assert [s.longest_monologue_seconds for s in measure(A, B).speakers] == [10.0, 8.5]


def test_a_pause_within_a_monologue_belongs_to_it_and_a_silence_ends_it() -> None:
    # 0-10 and 12.9-20 are one turn (pause 2.9 s), 23-25 another (3 s).
    (speaker,) = measure([(0, 10), (12.9, 20), (23, 25)]).speakers

    assert speaker.longest_monologue_seconds == 20.0
    assert speaker.turns == 2


def test_an_interruption_takes_the_floor() -> None:
    measured = measure(A, B)

    # B starts at 29.5, 0.5 s before A stops at 30, and holds for 8.5 s.
    assert [(i.by, i.of, i.start_seconds) for i in measured.interruptions] == [
        ("speaker_1", "speaker_0", 29.5)
    ]
    assert [s.interruptions for s in measured.speakers] == [0, 1]


def test_a_quick_answer_is_no_interruption() -> None:
    # 0.29 s before the end: below 0.3.
    assert measure([(0, 10)], [(9.71, 15)]).interruptions == ()
    assert len(measure([(0, 10)], [(9.7, 15)]).interruptions) == 1


def test_talking_on_over_somebody_is_no_interruption_by_them() -> None:
    # A goes on for 1.001 s after B began: A has not given way.
    assert measure([(0, 10)], [(8.999, 15)]).interruptions == ()
    assert len(measure([(0, 10)], [(9, 15)]).interruptions) == 1


def test_a_short_interjection_is_no_interruption() -> None:
    # B holds for 0.999 s.
    assert measure([(0, 10)], [(9.5, 10.499)]).interruptions == ()
    assert len(measure([(0, 10)], [(9.5, 10.5)]).interruptions) == 1


def test_a_backchannel_is_short_and_inside() -> None:
    # Exactly 1 s inside: backchannel. 1.001 s: a turn. 1 s that outlasts the other: a turn.
    assert [s.turns for s in measure([(0, 10)], [(4, 5)]).speakers] == [1, 0]
    assert [s.turns for s in measure([(0, 10)], [(4, 5.001)]).speakers] == [1, 1]
    assert [s.turns for s in measure([(0, 10)], [(9.5, 10.5)]).speakers] == [1, 1]


def test_the_response_latency_is_the_median_wait() -> None:
    a, b = pair(measure(A, B))

    # A after B: 20 - 14 = 6 and 45 - 38 = 7. B after A: 10 - 9 = 1; 29.5 began before A's end.
    assert a.response_latency_seconds == 6.5
    assert b.response_latency_seconds == 1.0


def test_going_on_after_ones_own_silence_is_no_response() -> None:
    # B's 4-6 ends before A's 0-10 does, so nobody spoke between A's 10 and A's 14.
    a, b = pair(measure([(0, 10), (14, 16)], [(4, 6)]))

    assert a.response_latency_seconds is None
    assert b.response_latency_seconds is None


def test_words_per_minute_are_words_over_talk() -> None:
    said = (unit("word " * 49, 1, 5), unit("word " * 21, 10, 14, speaker=1))

    # 49 x 60 / 24.5 = 120; 21 x 60 / 13.1 = 96.18
    measured = measure(A, B, said=said)

    assert [s.words for s in measured.speakers] == [49, 21]
    assert [s.words_per_minute for s in measured.speakers] == [120.0, 96.18]


def test_words_per_minute_need_five_seconds_of_talk() -> None:
    said = (unit("one two", 0, 4),)

    assert measure([(0, 4.999)], said=said).speakers[0].words_per_minute is None
    # 2 x 60 / 5
    assert measure([(0, 5)], said=said).speakers[0].words_per_minute == 24.0


def test_questions_are_sentences_with_a_question_mark() -> None:
    said = (
        unit("Is it? Yes. Why", 0, 5),
        unit("not?", 5.5, 6),
        unit("Ok?", 7, 8, speaker=1),
    )

    assert [s.questions for s in measure([(0, 6)], [(7, 8)], said=said).speakers] == [2, 1]


def test_an_empty_call_is_all_zeros() -> None:
    measured = measure(duration=0)

    assert measured.model_dump(exclude_defaults=True) == {
        "duration_seconds": 0.0,
        "talk_seconds": 0.0,
        "silence_seconds": 0.0,
        "silence_ratio": 0.0,
        "overlap_seconds": 0.0,
        "silences": (),
        "interruptions": (),
        "turns_per_minute": None,
        "speakers": (),
    }


def test_a_silent_call_is_one_silence() -> None:
    measured = measure([], [], duration=30)

    assert measured.silence_ratio == 1.0
    assert [(s.start_seconds, s.end_seconds) for s in measured.silences] == [(0, 30)]
    assert measured.turns_per_minute == 0.0


def test_a_one_sided_call_has_a_speaker_with_all_the_talk() -> None:
    measured = measure([(0, 20), (21, 30)], duration=30)

    (speaker,) = measured.speakers
    assert speaker.talk_ratio == 1.0
    assert speaker.listen_seconds == 0.0
    assert speaker.turns == 1
    assert speaker.response_latency_seconds is None


def test_two_who_talk_all_the_time_overlap_all_the_time() -> None:
    measured = measure([(0, 60)], [(0, 60)])

    assert measured.talk_seconds == 120.0
    assert measured.overlap_seconds == 60.0
    assert measured.silence_seconds == 0.0
    assert [s.talk_ratio for s in measured.speakers] == [0.5, 0.5]
    assert [s.turns for s in measured.speakers] == [1, 1]
    assert measured.interruptions == ()


def test_the_same_short_sound_on_both_channels_is_a_turn_of_each() -> None:
    # Neither lies inside a longer one.
    assert [s.turns for s in measure([(1, 1.5)], [(1, 1.5)]).speakers] == [1, 1]


SPANS = st.lists(
    st.tuples(st.integers(0, 90_000), st.integers(0, 8_000)).map(
        lambda pair: (pair[0] / 1000, (pair[0] + pair[1]) / 1000)
    ),
    max_size=25,
)


@given(st.lists(SPANS, min_size=0, max_size=4), st.integers(0, 100_000))
def test_for_any_call_the_parts_add_up(voice: list[Times], duration_ms: int) -> None:
    built = calls.build_call(voice=voice, duration=duration_ms / 1000)

    measured = metrics.measure_document(built, ())

    def ms(seconds: float) -> int:
        return round(seconds * 1000)

    talk, silence = ms(measured.talk_seconds), ms(measured.silence_seconds)
    overlap = ms(measured.overlap_seconds)
    assert talk + silence - overlap == built.duration_ms
    assert ms(measured.duration_seconds) == built.duration_ms >= duration_ms
    assert sum(ms(s.talk_seconds) for s in measured.speakers) == talk
    assert 0 <= measured.silence_ratio <= 1
    assert sum(s.talk_ratio for s in measured.speakers) == pytest.approx(1 if talk else 0)
    for speaker in measured.speakers:
        assert ms(speaker.talk_seconds) + ms(speaker.listen_seconds) == talk - overlap
        assert 0 <= ms(speaker.longest_monologue_seconds) <= built.duration_ms
        assert (speaker.response_latency_seconds or 0) >= 0
    assert sum(s.interruptions for s in measured.speakers) == len(measured.interruptions)
    assert all(s.end_seconds - s.start_seconds >= 3 for s in measured.silences)


@given(st.lists(SPANS, min_size=2, max_size=3))
def test_for_any_call_turns_are_in_order_and_hold_all_talk_but_backchannels(
    voice: list[Times],
) -> None:
    built = calls.build_call(voice=voice)

    floor = turns.plan_floor(built.tracks)

    assert list(floor.turns) == sorted(floor.turns)
    for number, track in enumerate(built.tracks):
        own = [turn for turn in floor.turns if turn.track == number]
        assert all(a.end < b.start for a, b in itertools.pairwise(own))
        outside = [
            span
            for span in track.spans
            if not any(turn.start <= span[0] and span[1] <= turn.end for turn in own)
        ]
        assert all(end - start <= turns.BACKCHANNEL_MS for start, end in outside)
    assert all(by != of for _, by, of in floor.cuts)
