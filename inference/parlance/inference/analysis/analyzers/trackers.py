"""Trackers: which of a company's phrases were said, by whom, when. Pure.

All phrases of all rules are looked for in one pass over each speaker's words, so that the time
does not grow with the number of rules.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from parlance.contracts.analysis.insights import (
    AnalyzerError,
    Span,
    TrackerHit,
    TrackerResult,
    TrackerRule,
    TrackerRules,
)
from parlance.contracts.calls import Role
from parlance.inference.analysis import text
from parlance.inference.analysis.analyzers.base import Findings, Shared
from parlance.inference.analysis.documents import Document, Unit
from parlance.inference.analysis.passages import Passage, group_by_speaker

MAX_HITS = 200
"""Evidence kept per tracker; all hits are counted."""
_MAX_PAUSE_SECONDS = 3.0
"""A phrase may run on into the speaker's next segment, but not across a silence."""


class _Hit(NamedTuple):
    """Where a phrase was said. Ordered by time, without time by the order of the units."""

    start: float
    place: int
    """Of the unit in a document without time; 0 otherwise."""
    phrase: str
    end: float
    speaker: str
    segment_id: str
    text: str


@dataclass(slots=True)
class _Found:
    """Hits of one rule so far."""

    hits: list[_Hit] = field(default_factory=list)
    count: int = 0

    def add(self, hit: _Hit) -> None:
        """Count it; keep the earliest ones, in bounded space ("yes" is said all day)."""
        self.count += 1
        self.hits.append(hit)
        if len(self.hits) >= 2 * MAX_HITS:
            self.hits = self.first_hits()

    def first_hits(self) -> list[_Hit]:
        return sorted(self.hits)[:MAX_HITS]


@dataclass(slots=True)
class _Node:
    """What may follow the words so far: phrases that begin alike share their beginning."""

    words: dict[str, "_Node"] = field(default_factory=dict)
    prefixes: dict[str, "_Node"] = field(default_factory=dict)
    """Words with `*`."""
    ends: list[tuple[int, str]] = field(default_factory=list)
    """(number of the rule, phrase) of phrases that are complete here."""

    def add(self, phrase: str, rule: int) -> bool:
        """Whether the phrase holds any word."""
        node = self
        for word, is_prefix in parse_phrase(phrase):
            node = (node.prefixes if is_prefix else node.words).setdefault(word, _Node())
        if node is self:
            return False
        node.ends.append((rule, phrase))
        return True

    def follow(self, word: str) -> Iterator["_Node"]:
        if (exact := self.words.get(word)) is not None:
            yield exact
        for prefix, node in self.prefixes.items():
            if word.startswith(prefix):
                yield node


def apply_trackers(document: Document, rules: Sequence[TrackerRule]) -> tuple[TrackerResult, ...]:
    """One result per rule, in the order of the rules."""
    root, usable = _plant(tuple(rules))
    found = [_Found() for _ in rules]
    if not usable:
        return tuple(_decide(rule, _Found(), is_decidable=False) for rule in rules)
    places = {} if document.is_timed else {u.id: n for n, u in enumerate(document.units)}
    for units in group_by_speaker(document.units).values():
        for passage in _join(units, is_timed=document.is_timed):
            _scan(passage, root, rules, found, document.duration_seconds, places)
    is_role_known = any(unit.role is not Role.UNKNOWN for unit in document.units)

    def is_decidable(number: int, rule: TrackerRule) -> bool:
        # Unknown rather than wrong: "the agent did not say it" needs to know who the agent is, and
        # "not in the first minute" when it was said.
        needs_role = rule.role not in (None, Role.UNKNOWN)
        needs_time = rule.first_seconds is not None or rule.last_seconds is not None
        has_role, has_time = is_role_known or not needs_role, document.is_timed or not needs_time
        return number in usable and has_role and has_time

    return tuple(
        _decide(rule, found[number], is_decidable=is_decidable(number, rule))
        for number, rule in enumerate(rules)
    )


@functools.lru_cache(maxsize=16)
def _plant(rules: tuple[TrackerRule, ...]) -> tuple[_Node, frozenset[int]]:
    """The phrases of all rules, and which rules have any. Kept, since many short documents come
    with the same rules."""
    root = _Node()
    usable = frozenset(
        number
        for number, rule in enumerate(rules)
        for phrase in dict.fromkeys(rule.phrases)
        if root.add(phrase, number)
    )
    return root, usable


def parse_phrase(phrase: str) -> tuple[tuple[str, bool], ...]:
    """Words of a phrase as (text, is it a prefix), in the form in which texts are compared."""
    plain = phrase.replace("’", "'")
    return tuple(
        (word.text, plain[word.end : word.end + 1] == "*") for word in text.split_words(plain)
    )


def _join(units: Sequence[Unit], *, is_timed: bool) -> Iterator[Passage]:
    """A phrase of speech may run on into the next segment; one of text ends with its unit."""
    row: list[Unit] = []
    for unit in units:
        if row and (not is_timed or unit.start - row[-1].end >= _MAX_PAUSE_SECONDS):
            yield Passage(row)
            row = []
        row.append(unit)
    if row:
        yield Passage(row)


def _scan(
    passage: Passage,
    root: _Node,
    rules: Sequence[TrackerRule],
    found: Sequence[_Found],
    duration_seconds: float,
    places: Mapping[str, int],
) -> None:
    speaker, role = passage.units[0].speaker, passage.units[0].role
    for begin, end, number, phrase in _find(passage.text, root):
        rule = rules[number]
        if rule.role in (None, role):
            start, until, segment_id = passage.locate(begin, end)
            if _is_in_time(rule, start, duration_seconds):
                place, said = places.get(segment_id, 0), passage.text[begin:end]
                hit = _Hit(start, place, phrase, until, speaker, segment_id, said)
                found[number].add(hit)


def _find(content: str, root: _Node) -> Iterator[tuple[int, int, int, str]]:
    """(begin, end, number of the rule, phrase) of every phrase said, in one pass."""
    open_: list[tuple[int, _Node]] = []
    for word in text.split_words(content):
        open_ = [
            (begin, after)
            for begin, node in [*open_, (word.begin, root)]
            for after in node.follow(word.text)
        ]
        for begin, node in open_:
            for number, phrase in node.ends:
                yield begin, word.end, number, phrase


def _is_in_time(rule: TrackerRule, start: float, duration_seconds: float) -> bool:
    """Whether a hit that starts then lies in a window of the rule; without windows it does."""
    if rule.first_seconds is None and rule.last_seconds is None:
        return True
    in_first = rule.first_seconds is not None and start <= rule.first_seconds
    in_last = rule.last_seconds is not None and start >= duration_seconds - rule.last_seconds
    return in_first or in_last


def _decide(rule: TrackerRule, found: _Found, *, is_decidable: bool) -> TrackerResult:
    was_said = found.count > 0
    return TrackerResult(
        name=rule.name,
        matched=is_decidable and was_said != rule.negated,
        hits=tuple(_build_hit(hit) for hit in found.first_hits()),
        count=found.count,
        undecided=not is_decidable,
    )


def _build_hit(hit: _Hit) -> TrackerHit:
    span = Span(
        start_seconds=round(hit.start, 3),
        end_seconds=round(hit.end, 3),
        segment_id=hit.segment_id,
        text=hit.text,
    )
    return TrackerHit(phrase=hit.phrase, speaker=hit.speaker, span=span)


class TrackerFindings(Findings):
    trackers: tuple[TrackerResult, ...]


@dataclass(frozen=True, slots=True)
class TrackerAnalyzer:
    """The company's phrase rules; None where they could not be read."""

    name: ClassVar[str] = "trackers"
    version: ClassVar[str] = "1"
    needs: ClassVar[tuple[str, ...]] = ()
    rules: TrackerRules | None

    def applies_to(self, document: Document) -> AnalyzerError | None:
        return AnalyzerError.RULES_UNREADABLE if self.rules is None else None

    def run(self, document: Document, shared: Shared) -> Findings:
        rules = () if self.rules is None else self.rules.rules
        return TrackerFindings(trackers=apply_trackers(document, rules))
