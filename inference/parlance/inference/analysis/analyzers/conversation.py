"""Metrics of a written conversation: who answers whom, how fast, and whether it was over. Pure.

Two sides wait for each other: the customer and the agent. What bots and systems write is counted
and answers nobody. Every formula is in docs/reference/insights.md with a worked example.
"""

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from parlance.contracts.analysis.insights import (
    AnalyzerError,
    ConversationMetrics,
    Reopening,
    SideMetrics,
    Wait,
)
from parlance.contracts.calls import Role
from parlance.inference.analysis import text
from parlance.inference.analysis.analyzers.base import Findings, Shared
from parlance.inference.analysis.documents import Document, Unit
from parlance.inference.analysis.passages import Sentence

_OTHER_SIDE = {Role.AGENT: Role.CUSTOMER, Role.CUSTOMER: Role.AGENT}
_MAX_THANKS_WORDS = 12

_ENDINGS = ("solved", "clos")
"""A sentence without any of these says nothing of an end; most are sorted out here."""
_ENDED_WORDS = frozenset(["resolved", "solved", "closed"])
_ENDED_BEFORE = frozenset(
    """
    is are was were been now as to marked set status issue case ticket request problem
    it's that's this's everything's
    """.split()  # noqa: SIM905  (a list literal would be harder to read)
)
_CLOSING_WORDS = frozenset(["close", "closing", "closed"])
_CLOSED_THINGS = frozenset(["ticket", "case", "request", "issue", "conversation", "chat", "thread"])
_NEAR_WORDS = 3
_HEDGES = frozenset(
    """
    not never isn't aren't wasn't weren't hasn't haven't won't can't cannot couldn't don't
    didn't if once when whenever until unless whether before hope hopefully
    """.split()  # noqa: SIM905  (a list literal would be harder to read)
)
"""With one of these a sentence speaks of an end that has not come."""
_THANKS = frozenset(
    """
    thanks thank you ty thx cheers so very much many great good perfect ok okay awesome
    excellent wonderful brilliant lovely nice cool fine all for your the help support
    that's it works this a lot have day weekend too and again appreciate appreciated bye
    goodbye
    """.split()  # noqa: SIM905  (a list literal would be harder to read)
)


class _Answer(NamedTuple):
    """A turn of one side that ends the wait of the other, or the wait that nothing ended."""

    waiting: Role
    asked: Unit
    answered: Unit | None
    seconds: float | None
    """None where a time is not known."""


def measure_conversation(document: Document, sentences: Sequence[Sentence]) -> ConversationMetrics:
    units = document.units
    answers = list(_find_answers(units))
    role_of = {unit.id: unit.role for unit in units}
    questions = Counter(
        role_of[sentence.segment_id] for sentence in sentences if text.is_question(sentence.text)
    )
    times = [unit.written_at for unit in units if unit.written_at is not None]
    return ConversationMetrics(
        messages=len(units),
        questions=questions.total(),
        duration_seconds=round(max(times) - min(times), 3) if times else None,
        first_response_seconds=_find_first_response(answers),
        longest_wait=_find_longest_wait(answers),
        reopenings=tuple(_find_reopenings(units, sentences, role_of)),
        sides=tuple(_measure_sides(units, answers, questions)),
    )


def _find_answers(units: Sequence[Unit]) -> Iterator[_Answer]:
    """Every wait, in the order in which they end; those that nobody ended come last."""
    waiting: dict[Role, Unit] = {}
    for unit in units:
        other = _OTHER_SIDE.get(unit.role)
        if other is None:
            continue
        if (asked := waiting.pop(other, None)) is not None:
            yield _Answer(other, asked, unit, _measure(asked, unit))
        waiting.setdefault(unit.role, unit)
    for role, asked in waiting.items():
        yield _Answer(role, asked, None, _measure(asked, units[-1]))


def _measure(first: Unit, last: Unit) -> float | None:
    if first.written_at is None or last.written_at is None:
        return None
    return round(max(0.0, last.written_at - first.written_at), 3)


def _find_first_response(answers: Sequence[_Answer]) -> float | None:
    """The first wait of the customer, if an agent ended it."""
    return next(
        (
            answer.seconds
            for answer in answers
            if answer.waiting is Role.CUSTOMER and answer.answered
        ),
        None,
    )


def _find_longest_wait(answers: Sequence[_Answer]) -> Wait | None:
    """The earliest of equal ones; a wait of no time is none."""
    longest = max(answers, key=lambda answer: answer.seconds or 0.0, default=None)
    if longest is None or not longest.seconds:
        return None
    return Wait(
        role=longest.waiting,
        from_id=longest.asked.id,
        to_id=longest.answered.id if longest.answered else None,
        seconds=longest.seconds,
    )


def _measure_sides(
    units: Sequence[Unit], answers: Sequence[_Answer], questions: Counter[Role]
) -> Iterator[SideMetrics]:
    messages: Counter[Role] = Counter()
    words: Counter[Role] = Counter()
    for unit in units:
        messages[unit.role] += 1
        words[unit.role] += text.count_words(unit.text)
    for role in messages:
        responses = [
            answer.seconds
            for answer in answers
            if answer.answered and answer.answered.role is role and answer.seconds is not None
        ]
        yield SideMetrics(
            role=role,
            messages=messages[role],
            words=words[role],
            questions=questions[role],
            responses=len(responses),
            response_seconds_median=round(statistics.median(responses), 3) if responses else None,
            response_seconds_longest=max(responses, default=None),
        )


def _find_reopenings(
    units: Sequence[Unit], sentences: Sequence[Sentence], role_of: dict[str, Role]
) -> Iterator[Reopening]:
    ends = {
        sentence.segment_id
        for sentence in sentences
        if role_of[sentence.segment_id] in (Role.AGENT, Role.SYSTEM) and says_end(sentence.text)
    }
    resolved_id: str | None = None
    for unit in units if ends else ():
        if unit.id in ends:
            resolved_id = unit.id
        elif resolved_id and unit.role is Role.CUSTOMER and not is_mere_thanks(unit.text):
            yield Reopening(resolved_id=resolved_id, reopened_id=unit.id)
            resolved_id = None


def says_end(sentence: str) -> bool:
    """Whether the sentence says that all is resolved, or that the ticket is closed. English."""
    folded = sentence.casefold()
    if not any(ending in folded for ending in _ENDINGS) or text.is_question(sentence):
        return False
    words = [word.text for word in text.split_words(sentence)]
    if not _HEDGES.isdisjoint(words):
        return False
    return any(_is_end(words, place) for place in range(len(words)))


def _is_end(words: Sequence[str], place: int) -> bool:
    if words[place] in _ENDED_WORDS:
        before = words[max(0, place - _NEAR_WORDS) : place]
        if len(words) == 1 or not _ENDED_BEFORE.isdisjoint(before):
            return True
    if words[place] in _CLOSING_WORDS:
        return not _CLOSED_THINGS.isdisjoint(words[place + 1 : place + 1 + _NEAR_WORDS])
    return False


def is_mere_thanks(content: str) -> bool:
    """Whether a message only thanks or says goodbye, which opens nothing again."""
    if len(content) > 20 * _MAX_THANKS_WORDS or text.is_question(content):
        return False
    return all(word.text in _THANKS for word in text.split_words(content))


class ConversationFindings(Findings):
    conversation: ConversationMetrics


@dataclass(frozen=True, slots=True)
class ConversationAnalyzer:
    """Answers, waits and reopenings."""

    name: ClassVar[str] = "conversation"
    version: ClassVar[str] = "1"
    needs: ClassVar[tuple[str, ...]] = ("sentences",)

    def applies_to(self, document: Document) -> AnalyzerError | None:
        return AnalyzerError.NEEDS_TEXT if document.is_timed else None

    def run(self, document: Document, shared: Shared) -> Findings:
        found = measure_conversation(document, shared.sentences)
        return ConversationFindings(conversation=found)
