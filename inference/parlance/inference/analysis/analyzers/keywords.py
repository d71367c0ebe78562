"""Keywords by C-value: frequent phrases that stand on their own. Pure, no corpus, no model.

Frantzi, Ananiadou and Mima, "Automatic recognition of multi-word terms: the C-value/NC-value
method" (2000), with log2(length + 1) so that single words score too.
"""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from parlance.contracts.analysis.insights import AnalyzerError, Keyword, Span
from parlance.inference.analysis import stopwords, text
from parlance.inference.analysis.analyzers.base import Findings, Shared, check_language
from parlance.inference.analysis.documents import Document
from parlance.inference.analysis.passages import Sentence

Phrase = tuple[str, ...]

_LONG_CALL_WORDS = 200
"""From here on a phrase must be said twice: what was said once is no topic of a long call."""
_MIN_LETTERS = 3


@dataclass(frozen=True, slots=True)
class KeywordOptions:
    """How many keywords, and how long."""

    limit: int = 10
    max_words: int = 3
    max_spans: int = 10


DEFAULT = KeywordOptions()


def find_keywords(
    sentences: Sequence[Sentence],
    stopwords: Collection[str],
    options: KeywordOptions = DEFAULT,
) -> tuple[Keyword, ...]:
    """The phrases with the highest C-value, best first; equals in alphabetical order.

    A phrase is a row of words of one sentence without stop words, numbers or punctuation between.
    """
    rows = [list(_split_rows(sentence.text, stopwords)) for sentence in sentences]
    counts = _count_phrases(rows, options.max_words)
    scores = _score(counts)
    # Sorting keeps the order of equals, also in reverse.
    ranked = sorted(sorted(scores), key=scores.__getitem__, reverse=True)
    best = _without_parts(ranked, options.limit)
    places = _find_places(sentences, rows, best, options)
    return tuple(
        Keyword(
            text=" ".join(phrase),
            score=round(scores[phrase], 3),
            count=counts[phrase],
            spans=tuple(places[phrase]),
        )
        for phrase in best
    )


def _split_rows(sentence: str, stopwords: Collection[str]) -> Iterator[Phrase]:
    """Rows of content words. Anything but spaces between two words ends a row."""
    row: list[str] = []
    row_end = 0
    for word, begin, end in text.split_words(sentence):
        is_content = (
            word not in stopwords
            and len(word) >= _MIN_LETTERS
            and (word.isalpha() or not any(map(str.isdigit, word)))
        )
        if row and not (is_content and sentence[row_end:begin].isspace()):
            yield tuple(row)
            row = []
        if is_content:
            row.append(word.removesuffix("'s"))
            row_end = end
    if row:
        yield tuple(row)


def _phrases(row: Phrase, max_words: int) -> Sequence[Phrase]:
    if len(row) == 1:
        return (row,)
    return [
        row[first : first + length]
        for length in range(1, min(max_words, len(row)) + 1)
        for first in range(len(row) - length + 1)
    ]


def _count_phrases(rows: Sequence[Sequence[Phrase]], max_words: int) -> dict[Phrase, int]:
    """Phrases said often enough. Words first: a phrase is no more frequent than its words, and
    counting every phrase of a day-long call would take memory for nothing."""
    phrases = (phrase for said in rows for row in said for phrase in _phrases(row, max_words))
    if sum(len(row) for said in rows for row in said) < _LONG_CALL_WORDS:
        return Counter(phrases)
    singles = Counter(word for said in rows for row in said for word in row)
    frequent = {word for word, count in singles.items() if count >= 2}
    counts = Counter(filter(frequent.issuperset, phrases))
    return {phrase: count for phrase, count in counts.items() if count >= 2}


def _score(counts: dict[Phrase, int]) -> dict[Phrase, float]:
    """C-value: log2(words + 1) x (count - mean count of the longer phrases it is part of)."""
    longer: dict[Phrase, list[int]] = defaultdict(list)
    for phrase, count in counts.items():
        if len(phrase) > 1:
            for part in _parts(phrase):
                longer[part].append(count)
    return {
        phrase: math.log2(len(phrase) + 1)
        * (count - (_mean(longer[phrase]) if phrase in longer else 0.0))
        for phrase, count in counts.items()
    }


def _parts(phrase: Phrase) -> set[Phrase]:
    """Every shorter phrase inside, each once."""
    return {
        phrase[first : first + length]
        for length in range(1, len(phrase))
        for first in range(len(phrase) - length + 1)
    }


def _mean(counts: Sequence[int]) -> float:
    return sum(counts) / len(counts)


def _without_parts(ranked: Sequence[Phrase], limit: int) -> list[Phrase]:
    """The first ones, leaving out any that is part of a chosen phrase or contains one."""
    best: dict[Phrase, None] = {}
    parts_of_best: set[Phrase] = set()
    for phrase in ranked:
        if len(best) == limit:
            break
        parts = _parts(phrase)
        if phrase not in parts_of_best and best.keys().isdisjoint(parts):
            best[phrase] = None
            parts_of_best.update(parts)
    return list(best)


def _find_places(
    sentences: Sequence[Sentence],
    rows: Sequence[Sequence[Phrase]],
    phrases: Sequence[Phrase],
    options: KeywordOptions,
) -> dict[Phrase, list[Span]]:
    """Sentences that say each phrase: its first `max_spans` occurrences."""
    places: dict[Phrase, list[Span]] = {phrase: [] for phrase in phrases}
    words = {word for phrase in phrases for word in phrase}
    for sentence, said in zip(sentences, rows, strict=True):
        # Most rows hold none of the words, let alone a phrase.
        for row in itertools.filterfalse(words.isdisjoint, said):
            for phrase in filter(places.__contains__, _phrases(row, options.max_words)):
                if len(places[phrase]) < options.max_spans:
                    places[phrase].append(sentence.span)
    return places


class KeywordFindings(Findings):
    keywords: tuple[Keyword, ...]


@dataclass(frozen=True, slots=True)
class KeywordAnalyzer:
    """What the document is about, in single words and short phrases."""

    name: ClassVar[str] = "keywords"
    version: ClassVar[str] = "1"
    needs: ClassVar[tuple[str, ...]] = ("language", "sentences")
    options: KeywordOptions = DEFAULT

    def applies_to(self, document: Document) -> AnalyzerError | None:
        return check_language(document, ("en",))

    def run(self, document: Document, shared: Shared) -> Findings:
        found = find_keywords(shared.sentences, stopwords.ENGLISH, self.options)
        return KeywordFindings(keywords=found)
