"""Words and sentences of a text, with their places in it. Pure; used by every analyser of words.

No language model: rules for languages written with spaces, each Han or kana character a word of
its own, so that long texts of any language at least stay bounded.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

MAX_SENTENCE_WORDS = 60
"""A longer stretch without a full stop is cut: speech recognition sometimes omits them all."""

_SHORT_CHARACTERS = 1000
_REMEMBERED = 1024
"""Short texts whose words and sentences are kept: more than a document of usual size has, and some
megabytes at most."""

_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+"
    r"(?:'[^\W_]+)*"
)
_CHUNK = re.compile(r"\S+")
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")
# The look-behind starts a match at the first mark of a row only: linear on "........" too.
_SENTENCE_END = re.compile(r"""(?<![.!?…؟])[.!?…؟]+["'”’)\]]*(?=\s|$)|[。！？]+""")
_SENTENCE_MARKS = (".", "!", "?", "…", "؟", "。", "！", "？")
_QUESTION_MARKS = ("?", "？", "؟")
_CLOSING = "\"'”’)] \t\n"
_ABBREVIATION = re.compile(
    r"(?:^|\s)(?:mr|mrs|ms|dr|st|prof|sr|jr|vs|inc|ltd|co|e\.g|i\.e|[a-z])\.$", re.IGNORECASE
)


class Word(NamedTuple):
    """A word as it is compared: case-folded, with plain apostrophes."""

    text: str
    begin: int
    end: int


def split_words(text: str) -> Sequence[Word]:
    """Every run of letters and digits, with inner apostrophes; offsets are into `text`.

    Several analysers ask for the words of the same sentence.
    """
    return _recall_words(text) if len(text) <= _SHORT_CHARACTERS else _find_words(text)


def _find_words(text: str) -> Sequence[Word]:
    # A typographic apostrophe is one character too, so offsets stay those of the original.
    return tuple(
        Word(match.group().casefold(), match.start(), match.end())
        for match in _WORD.finditer(text.replace("’", "'"))
    )


_recall_words = functools.lru_cache(maxsize=_REMEMBERED)(_find_words)


def count_words(text: str) -> int:
    """Words as people count them: parts between spaces that hold a letter or digit."""
    return _recall_count(text) if len(text) <= _SHORT_CHARACTERS else _count_words(text)


def _count_words(text: str) -> int:
    parts = text.split()
    # Few parts begin with anything else than a letter or digit, so the search is seldom needed.
    return len(parts) - len(
        [part for part in parts if not (part[0].isalnum() or _LETTER_OR_DIGIT.search(part))]
    )


_recall_count = functools.lru_cache(maxsize=_REMEMBERED)(_count_words)


def split_chunks(text: str) -> list[tuple[int, int]]:
    """(begin, end) of every part between spaces."""
    return [match.span() for match in _CHUNK.finditer(text)]


def split_sentences(text: str) -> Sequence[tuple[int, int]]:
    """(begin, end) of every sentence, without the spaces around it."""
    return _recall_sentences(text) if len(text) <= _SHORT_CHARACTERS else _find_sentences(text)


def _find_sentences(text: str) -> Sequence[tuple[int, int]]:
    return tuple(_iter_sentences(text))


def _iter_sentences(text: str) -> Iterator[tuple[int, int]]:
    begin = 0
    for match in _SENTENCE_END.finditer(text):
        end = match.end()
        if text[end - 1] == "." and _ABBREVIATION.search(text, max(begin, end - 8), end):
            continue
        yield from _cut_long(text, begin, end)
        begin = end
    yield from _cut_long(text, begin, len(text))


_recall_sentences = functools.lru_cache(maxsize=_REMEMBERED)(_find_sentences)


def _cut_long(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """(begin, end) of pieces of at most `MAX_SENTENCE_WORDS`, without the spaces around them."""
    if end - begin < 2 * MAX_SENTENCE_WORDS:  # too short for more words than that
        content = text[begin:end]
        begin, end = end - len(content.lstrip()), begin + len(content.rstrip())
        if begin < end:
            yield begin, end
        return
    chunks = [match.span() for match in _CHUNK.finditer(text, begin, end)]
    for first in range(0, len(chunks), MAX_SENTENCE_WORDS):
        piece = chunks[first : first + MAX_SENTENCE_WORDS]
        yield piece[0][0], piece[-1][1]


def is_question(sentence: str) -> bool:
    """Whether the sentence ends with a question mark."""
    return sentence.rstrip(_CLOSING).rstrip(".!").endswith(_QUESTION_MARKS)


def is_finished(text: str) -> bool:
    """Whether the text ends as a sentence does."""
    return text.rstrip(_CLOSING).endswith(_SENTENCE_MARKS)
