"""Keywords by C-value: frequent phrases that stand on their own. Pure, no corpus, no model.

Frantzi, Ananiadou and Mima, "Automatic recognition of multi-word terms: the C-value/NC-value
method" (2000), with log2(length + 1) so that single words score too.
"""

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
    rows = [[_key(row) for row in _split_rows(sentence.text, stopwords)] for sentence in sentences]
    counts = _count_phrases(rows, options.max_words)
    scores = _score(counts)
    ranked = sorted(scores, key=lambda phrase: (-scores[phrase], phrase))
    best = _without_parts(ranked, counts, options.limit)
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


def _split_rows(sentence: str, stopwords: Collection[str]) -> Iterator[list[text.Word]]:
    """Rows of content words. Anything but spaces between two words ends a row."""
    row: list[text.Word] = []
    for word in text.split_words(sentence):
        content = word.text
        is_content = (
            len(content) >= _MIN_LETTERS
            and content not in stopwords
            and (content.isalpha() or not any(map(str.isdigit, content)))
        )
        if row and (not is_content or not sentence[row[-1].end : word.begin].isspace()):
            yield row
            row = []
        if is_content:
            row.append(word)
    if row:
        yield row


def _phrases(row: Phrase, max_words: int) -> Iterator[Phrase]:
    for length in range(1, max_words + 1):
        for first in range(len(row) - length + 1):
            yield row[first : first + length]


def _key(words: Sequence[text.Word]) -> Phrase:
    return tuple(word.text.removesuffix("'s") for word in words)


def _count_phrases(rows: Sequence[Sequence[Phrase]], max_words: int) -> dict[Phrase, int]:
    """Phrases said often enough. Words first: a phrase is no more frequent than its words, and
    counting every phrase of a day-long call would take memory for nothing."""
    singles = Counter(word for said in rows for row in said for word in row)
    phrases = (phrase for said in rows for row in said for phrase in _phrases(row, max_words))
    if singles.total() < _LONG_CALL_WORDS:
        return dict(Counter(phrases))
    frequent = {word for word, count in singles.items() if count >= 2}
    counts = Counter(filter(frequent.issuperset, phrases))
    return {phrase: count for phrase, count in counts.items() if count >= 2}


def _score(counts: dict[Phrase, int]) -> dict[Phrase, float]:
    """C-value: log2(words + 1) x (count - mean count of the longer phrases it is part of)."""
    longer: dict[Phrase, list[int]] = defaultdict(list)
    for phrase, count in counts.items():
        for part in _parts(phrase):
            longer[part].append(count)
    return {
        phrase: math.log2(len(phrase) + 1) * (count - _mean(longer.get(phrase, [])))
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
    return sum(counts) / len(counts) if counts else 0.0


def _without_parts(ranked: Sequence[Phrase], counts: dict[Phrase, int], limit: int) -> list[Phrase]:
    """The first ones, leaving out any that is part of a chosen phrase or contains one."""
    best: list[Phrase] = []
    for phrase in ranked:
        if len(best) == limit:
            break
        if not any(chosen in _parts(phrase) or phrase in _parts(chosen) for chosen in best):
            best.append(phrase)
    return best


def _find_places(
    sentences: Sequence[Sentence],
    rows: Sequence[Sequence[Phrase]],
    phrases: Sequence[Phrase],
    options: KeywordOptions,
) -> dict[Phrase, list[Span]]:
    """Sentences that say each phrase: its first `max_spans` occurrences."""
    places: dict[Phrase, list[Span]] = {phrase: [] for phrase in phrases}
    for sentence, said in zip(sentences, rows, strict=True):
        for row in said:
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
