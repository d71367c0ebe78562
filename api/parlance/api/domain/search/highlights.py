"""Where in its texts a row was found: short pieces of them with the words of the query marked.

The marks are made here and not by Postgres, whose `ts_headline` puts markers into the text, which
the text may hold itself, and parses every text anew.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec
from parlance.api.domain.search.queries import Query

MAX_HIGHLIGHTS = 3
"""Of one row."""
MAX_CHARACTERS = 240
"""Of one highlight, not counting the marks of cuts."""
_BEFORE_CHARACTERS = 60
"""Shown before the first word."""
_CUT = "…"


class Part(msgspec.Struct, frozen=True):
    """A stretch of the text; `match` where it is a word of the query."""

    text: str
    match: bool


class Highlight(msgspec.Struct, frozen=True):
    """A piece of a text in parts, which joined are the piece as it was written; `…` stands where it
    was cut. Plain text: to be escaped before it becomes HTML."""

    field: str
    """`segment`, `message` or `subject`."""
    index: int | None
    """Of the segment or message."""
    parts: list[Part]


@dataclass(frozen=True, slots=True)
class Text:
    """A text of a row that was found."""

    field: str
    index: int | None
    text: str


class Marker:
    """Marks the words of one query."""

    def __init__(self, query: Query) -> None:
        self._words = (*query.words, *query.prefixes)
        words = [re.escape(word) for word in sorted(query.words, key=len, reverse=True)]
        begins = [re.escape(prefix) + r"[^\W_]*" for prefix in query.prefixes]
        # Where words end in the eyes of Postgres, too: an underscore is part of none.
        self._pattern = re.compile(
            rf"(?<![^\W_])(?:{'|'.join([*words, *begins])})(?![^\W_])", re.IGNORECASE
        )

    def mark(self, texts: Iterable[Text]) -> list[Highlight]:
        """The texts with the most different words of the query, best first."""
        counted = [(self._count_words(text.text), text) for text in texts]
        counted.sort(key=lambda item: -item[0])
        found: list[Highlight] = []
        for count, text in counted:
            if count == 0 or len(found) == MAX_HIGHLIGHTS:
                break
            first = self._pattern.search(text.text)
            if first is not None:
                found.append(self._mark_one(text, first.start()))
        return found

    def _count_words(self, text: str) -> int:
        """Of the query that may be in the text. They may also be within other words: a regular
        expression would know, but takes fifty times as long for a conversation."""
        lowered = text.lower()
        return sum(word in lowered for word in self._words)

    def _mark_one(self, text: Text, at: int) -> Highlight:
        begin = _find_begin(text.text, at)
        end = _find_end(text.text, begin + MAX_CHARACTERS)
        piece = text.text[begin:end]
        parts = [part for part in self._split(piece) if part.text]
        if begin > 0:
            parts.insert(0, Part(_CUT, match=False))
        if end < len(text.text):
            parts.append(Part(_CUT, match=False))
        return Highlight(text.field, text.index, parts)

    def _split(self, piece: str) -> Iterator[Part]:
        end = 0
        for match in self._pattern.finditer(piece):
            yield Part(piece[end : match.start()], match=False)
            yield Part(match[0], match=True)
            end = match.end()
        yield Part(piece[end:], match=False)


def _find_begin(text: str, at: int) -> int:
    """Behind a space, if there is one before the word at `at`."""
    if at <= _BEFORE_CHARACTERS:
        return 0
    space = text.find(" ", at - _BEFORE_CHARACTERS, at)
    return at if space < 0 else space + 1


def _find_end(text: str, at: int) -> int:
    if at >= len(text):
        return len(text)
    space = text.rfind(" ", at - _BEFORE_CHARACTERS, at)
    return at if space < 0 else space
