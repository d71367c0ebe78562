"""Which texts are believed, decoded again, or dropped."""

import pytest
from asr import guards
from asr.engine import Guard, Segment, Transcript
from asr.guards import Attempt, Evidence, Fault

MENU = (
    "To decrease the audio volume from other participants press one. "
    "To increase the audio volume from other participants press two. "
) * 2
DICKENS = "It was the best of times, it was the worst of times, it was the age of wisdom"


def build_evidence(
    text: str = DICKENS,
    *,
    tokens: int | list[int] = 20,
    duration_seconds: float = 6.0,
    avg_logprob: float = -0.3,
    no_speech_prob: float = 0.05,
) -> Evidence:
    ids = tokens if isinstance(tokens, list) else list(range(tokens))
    return Evidence(text, ids, duration_seconds, avg_logprob, no_speech_prob)


def build_attempt(
    text: str, fault: Fault | None, *, avg_logprob: float = -0.3, no_speech_prob: float = 0.0
) -> Attempt:
    transcript = Transcript(
        segments=(Segment(text, 0.0, 5.0, ()),),
        avg_logprob=avg_logprob,
        no_speech_prob=no_speech_prob,
        temperature=0.0,
        language="en",
    )
    return Attempt(transcript, fault)


def test_plain_speech_is_believed() -> None:
    assert guards.find_fault(build_evidence()) is None


@pytest.mark.parametrize(
    ("seen", "evidence"),
    [
        ("digital silence", build_evidence("you", tokens=1, avg_logprob=-0.6, no_speech_prob=0.99)),
        ("white noise", build_evidence("I'm so excited.", avg_logprob=-1.6, no_speech_prob=0.93)),
        (
            "hold music",
            build_evidence(
                "Thank you.", tokens=3, duration_seconds=25, avg_logprob=-1.1, no_speech_prob=0.06
            ),
        ),
        ("a tone", build_evidence("Be Be Be Be Be", tokens=[7] * 5, no_speech_prob=0.87)),
        ("a click", build_evidence("", tokens=1)),
    ],
)
def test_sounds_without_words_are_no_speech(seen: str, evidence: Evidence) -> None:
    assert guards.find_fault(evidence) is Fault.NO_SPEECH, seen


def test_a_short_clear_answer_is_believed() -> None:
    evidence = build_evidence(
        "Six.", tokens=2, duration_seconds=0.8, avg_logprob=-0.9, no_speech_prob=0.19
    )

    assert guards.find_fault(evidence) is None


def test_more_tokens_than_anyone_can_speak_are_a_fault() -> None:
    assert guards.find_fault(build_evidence(tokens=100)) is Fault.TOO_MANY_TOKENS


def test_a_run_of_tokens_said_again_and_again_is_a_loop() -> None:
    looping = build_evidence(tokens=[1, 2, 3, *([10, 11, 12] * 4)])

    assert guards.find_fault(looping) is Fault.LOOP


def test_a_text_of_hundreds_of_equal_sentences_is_a_loop() -> None:
    looping = build_evidence("I am going to go to the store. " * 20)

    assert guards.find_fault(looping) is Fault.LOOP


def test_a_telephone_menu_is_only_doubted() -> None:
    assert guards.find_fault(build_evidence(MENU)) is Fault.COMPRESSION_RATIO


def test_an_unsure_text_is_only_doubted() -> None:
    assert guards.find_fault(build_evidence(avg_logprob=-1.2)) is Fault.LOW_LOGPROB


@pytest.mark.parametrize("words", ["no no no no", "it was the best it was the worst it was the"])
def test_natural_repetition_is_no_loop(words: str) -> None:
    ids = {word: number for number, word in enumerate(dict.fromkeys(words.split()))}

    assert not guards.has_loop([ids[word] for word in words.split()])


def test_the_first_attempt_is_ok_when_it_has_no_fault() -> None:
    chosen = guards.choose([build_attempt("fine", None)])

    assert (chosen.guard, chosen.guard_reason, chosen.text) == (Guard.OK, "", "fine")


def test_a_cured_loop_is_retried_and_says_what_was_wrong() -> None:
    chosen = guards.choose([build_attempt("la la", Fault.LOOP), build_attempt("hello", None)])

    assert (chosen.guard, chosen.guard_reason, chosen.text) == (Guard.RETRIED, "loop", "hello")


def test_a_loop_that_nothing_cures_is_dropped_and_kept_for_the_record() -> None:
    chosen = guards.choose([build_attempt("la la", Fault.LOOP)] * 3)

    assert (chosen.guard, chosen.guard_reason) == (Guard.DROPPED, "loop")
    assert (chosen.text, chosen.dropped_text) == ("", "la la")


def test_speech_that_repeats_itself_is_kept_and_marked() -> None:
    chosen = guards.choose([build_attempt(MENU, Fault.COMPRESSION_RATIO)] * 2)

    assert (chosen.guard, chosen.guard_reason) == (Guard.RETRIED, "compression_ratio")
    assert chosen.text == MENU


def test_of_two_unclear_texts_the_surer_one_is_kept() -> None:
    chosen = guards.choose(
        [
            build_attempt("mumble", Fault.LOW_LOGPROB, avg_logprob=-1.6),
            build_attempt("number", Fault.LOW_LOGPROB, avg_logprob=-1.1),
        ]
    )

    assert (chosen.guard, chosen.text) == (Guard.RETRIED, "number")


def test_an_unclear_text_where_speech_is_doubtful_is_dropped() -> None:
    attempt = build_attempt("noise", Fault.LOW_LOGPROB, avg_logprob=-1.1, no_speech_prob=0.4)

    chosen = guards.choose([attempt, attempt])

    assert (chosen.guard, chosen.guard_reason) == (Guard.DROPPED, "no_speech")
