"""Telling invented or looping text from heard text, and choosing between attempts. Pure.

Whisper's own pipeline has some of these tests for files it reads one window after the other;
batched decoding elsewhere has none. The thresholds that are not OpenAI's were chosen on tiny.en:
one-word telephone prompts have a no-speech probability below 0.2; digital silence gives "you"
with 0.95 and more, hold music "Thank you." with a mean log-probability below -1.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from asr.engine import Guard, Transcript

MAX_COMPRESSION_RATIO = 2.4  # OpenAI's value: natural text compresses to about 1.2 to 2
LOOPING_COMPRESSION_RATIO = 4.0  # telephone menus read aloud reach 2.6, loops start at about 5
MIN_AVG_LOGPROB = -1.0  # OpenAI's value
MAX_NO_SPEECH_PROB = 0.6  # OpenAI's value; needs a second sign, as noise before speech raises it
DOUBTFUL_NO_SPEECH_PROB = 0.3  # enough where every attempt was unsure of its text
# Fast English speech is 5 to 6 text tokens per second; scripts that Whisper's vocabulary spells in
# pieces take twice as many. Loops are found by their turns, long before.
MAX_TOKENS_PER_SECOND = 15.0
SPARE_TOKENS = 8  # a very short window may hold a few tokens more than its length allows
SPARSE_TOKENS_PER_SECOND = 0.5  # slow speech is 2
SPARSE_TOKENS = 4

# A loop is a run of tokens said again at once: this often, and over this many tokens. "It was the
# best of times, it was the worst of times" is no loop; "no, no, no, no" is natural.
MIN_LOOP_TURNS = 4
MIN_LOOP_TOKENS = 12
MAX_LOOP_PERIOD = 24


class Fault(StrEnum):
    """Why a text is not believed."""

    NO_SPEECH = "no_speech"
    TOO_MANY_TOKENS = "too_many_tokens"
    COMPRESSION_RATIO = "compression_ratio"
    LOOP = "loop"
    LOW_LOGPROB = "low_logprob"


LOOPS = frozenset({Fault.TOO_MANY_TOKENS, Fault.LOOP})
"""Texts that nobody can have said."""
DOUBTS = frozenset({Fault.COMPRESSION_RATIO, Fault.LOW_LOGPROB})
"""Texts worth a second look, and kept when that finds nothing better."""


@dataclass(frozen=True)
class Evidence:
    """What is judged: one hypothesis for one window."""

    text: str
    tokens: Sequence[int]
    """Text tokens only."""
    duration_seconds: float
    avg_logprob: float
    no_speech_prob: float


@dataclass(frozen=True)
class Attempt:
    """One hypothesis and what is wrong with it."""

    transcript: Transcript
    fault: Fault | None


def find_fault(evidence: Evidence) -> Fault | None:
    """The first test that fails; None when the text can be believed."""
    if is_unheard(evidence):
        return Fault.NO_SPEECH
    if len(evidence.tokens) > max_text_tokens(evidence.duration_seconds):
        return Fault.TOO_MANY_TOKENS
    ratio = compression_ratio(evidence.text)
    if ratio > LOOPING_COMPRESSION_RATIO or has_loop(evidence.tokens):
        return Fault.LOOP
    if ratio > MAX_COMPRESSION_RATIO:
        return Fault.COMPRESSION_RATIO
    if evidence.avg_logprob < MIN_AVG_LOGPROB:
        return Fault.LOW_LOGPROB
    return None


def is_unheard(evidence: Evidence) -> bool:
    """Whether two signs agree: the model says so, doubts its text, wrote little, or stutters."""
    count = len(evidence.tokens)
    is_silent = evidence.no_speech_prob > MAX_NO_SPEECH_PROB
    is_unsure = evidence.avg_logprob < MIN_AVG_LOGPROB
    is_sparse = count < evidence.duration_seconds * SPARSE_TOKENS_PER_SECOND
    is_stutter = has_loop(evidence.tokens, min_tokens=MIN_LOOP_TURNS)
    if not evidence.text:
        return True
    if is_silent:
        return is_unsure or is_sparse or is_stutter or count <= SPARSE_TOKENS
    return is_unsure and is_sparse


def choose(attempts: Sequence[Attempt]) -> Transcript:
    """One answer from all attempts at a window, in the order they were made."""
    first = attempts[0].fault
    for number, attempt in enumerate(attempts):
        if attempt.fault is None:
            guard = Guard.RETRIED if number else Guard.OK
            return _mark(attempt.transcript, guard, first)
        if attempt.fault is Fault.NO_SPEECH:
            return _drop(attempt.transcript, Fault.NO_SPEECH)
    doubted = [attempt for attempt in attempts if attempt.fault in DOUBTS]
    if not doubted:
        return _drop(attempts[-1].transcript, attempts[-1].fault)
    best = max(doubted, key=lambda attempt: attempt.transcript.avg_logprob)
    is_unsure = best.fault is Fault.LOW_LOGPROB
    if is_unsure and best.transcript.no_speech_prob > DOUBTFUL_NO_SPEECH_PROB:
        return _drop(best.transcript, Fault.NO_SPEECH)
    # Doubted text is kept, marked: losing half a minute of a call is worse than a poor text, and
    # a telephone menu that says nearly the same five times compresses like a loop.
    return _mark(best.transcript, Guard.RETRIED, first)


def max_text_tokens(duration_seconds: float) -> int:
    """More text tokens than this cannot have been spoken in the time."""
    return int(duration_seconds * MAX_TOKENS_PER_SECOND) + SPARE_TOKENS


def compression_ratio(text: str) -> float:
    """Length over zlib-compressed length, both in bytes; loops compress well."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw)) if raw else 0.0


def has_loop(tokens: Sequence[int], min_tokens: int = MIN_LOOP_TOKENS) -> bool:
    """Whether some run of tokens is repeated back to back, anywhere in the text."""
    for period in range(1, min(MAX_LOOP_PERIOD, len(tokens) // 2) + 1):
        needed = max(MIN_LOOP_TURNS * period, min_tokens) - period
        equal = 0
        for index in range(period, len(tokens)):
            equal = equal + 1 if tokens[index] == tokens[index - period] else 0
            if equal >= needed:
                return True
    return False


def _mark(transcript: Transcript, guard: Guard, fault: Fault | None) -> Transcript:
    return replace(transcript, guard=guard, guard_reason=fault.value if fault else "")


def _drop(transcript: Transcript, fault: Fault | None) -> Transcript:
    dropped = replace(transcript, segments=(), dropped_text=transcript.text)
    return _mark(dropped, Guard.DROPPED, fault)
