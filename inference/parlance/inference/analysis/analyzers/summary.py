"""Extractive summary by LexRank: the sentences that most others resemble, in call order. Pure.

Erkan and Radev, "LexRank: graph-based lexical centrality as salience in text summarization"
(2004), the continuous variant. No stop list: words said in most sentences weigh next to nothing,
so it works for any language written with spaces.
"""

import heapq
import itertools
import math
import operator
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from parlance.contracts.analysis.insights import Summary, SummarySentence
from parlance.inference.analysis import text
from parlance.inference.analysis.analyzers.base import Findings, ForEverything, Shared
from parlance.inference.analysis.documents import Document
from parlance.inference.analysis.passages import Sentence

Vector = Mapping[str, float]
"""Weight by word, of length 1."""


@dataclass(frozen=True, slots=True)
class SummaryOptions:
    """Size and shape of a summary."""

    min_sentences: int = 3
    max_sentences: int = 8
    sentences_per_pick: int = 15
    """One sentence of the summary for so many of the call, within the two limits above."""
    min_words: int = 5
    """A shorter sentence says too little by itself; all count if every sentence is short."""
    max_share: float = 2 / 3
    """Of the summary, for one speaker while another has something to say."""
    max_similarity: float = 0.6
    """A sentence this close to one already chosen adds nothing."""
    max_candidates: int = 300
    """Every candidate is compared with every other: bounds the work for a call of any length."""
    damping: float = 0.85
    max_rounds: int = 50
    tolerance: float = 1e-6
    """Ranking ends when the scores change by less, all together."""


DEFAULT = SummaryOptions()


def summarize(
    sentences: Sequence[Sentence],
    options: SummaryOptions = DEFAULT,
) -> Summary | None:
    """The most central sentences, or None when nothing was said. Same input, same summary."""
    long_enough = [s for s in sentences if text.count_words(s.text) >= options.min_words]
    candidates = long_enough or [s for s in sentences if text.count_words(s.text)]
    if not candidates:
        return None
    wanted = len(candidates) // options.sentences_per_pick
    wanted = min(options.max_sentences, max(options.min_sentences, wanted))
    candidates, vectors = _preselect(candidates, options.max_candidates)
    similarities = compare(vectors)
    scores = rank(similarities, options)
    chosen = _choose(candidates, scores, similarities, wanted, options)
    return Summary(
        text=" ".join(candidates[i].text for i in chosen),
        sentences=tuple(
            SummarySentence(
                text=candidates[i].text,
                speaker=candidates[i].speaker,
                score=round(scores[i], 6),
                span=candidates[i].span,
            )
            for i in chosen
        ),
    )


def vectorize(contents: Sequence[str]) -> list[Vector]:
    """TF-IDF of each text, scaled to length 1. idf = ln(1 + N / n) for a word in n of N texts."""
    bags = [Counter([word.text for word in text.split_words(content)]) for content in contents]
    spread = Counter(itertools.chain.from_iterable(bags))
    idf = {word: math.log(1 + len(bags) / count) for word, count in spread.items()}
    vectors: list[Vector] = []
    for bag in bags:
        weights = {word: count * idf[word] for word, count in bag.items()}
        length = math.sqrt(sum([weight * weight for weight in weights.values()]))
        vectors.append({word: weight / length for word, weight in weights.items()})
    return vectors


def _preselect(candidates: Sequence[Sentence], limit: int) -> tuple[list[Sentence], list[Vector]]:
    """The candidates nearest to the middle of all, in call order, and their vectors."""
    vectors = vectorize([sentence.text for sentence in candidates])
    if len(candidates) <= limit:
        return list(candidates), vectors
    middle: dict[str, float] = defaultdict(float)
    for vector in vectors:
        for word, weight in vector.items():
            middle[word] += weight
    nearness = [sum(w * middle[word] for word, w in vector.items()) for vector in vectors]
    nearest = heapq.nsmallest(limit, range(len(vectors)), key=lambda i: (-nearness[i], i))
    return [candidates[i] for i in sorted(nearest)], [vectors[i] for i in sorted(nearest)]


def compare(vectors: Sequence[Vector]) -> list[dict[int, float]]:
    """Cosine of every pair that shares a word: by row, then by column; the diagonal is left out."""
    holders: dict[str, list[tuple[int, float]]] = defaultdict(list)
    rows: list[dict[int, float]] = [{} for _ in vectors]
    for i, vector in enumerate(vectors):
        row = rows[i]
        for word, weight in vector.items():
            for j, other in holders[word]:
                row[j] = row.get(j, 0.0) + weight * other
            holders[word].append((i, weight))
        for j, cosine in row.items():
            rows[j][i] = cosine
    return rows


def rank(
    similarities: Sequence[Mapping[int, float]], options: SummaryOptions = DEFAULT
) -> list[float]:
    """PageRank over the similarities; a sentence like no other spreads its weight evenly."""
    totals = [sum(row.values()) for row in similarities]
    # Full rows: at most `max_candidates` of them, and sums over them run in C.
    matrix = [_fill(row, len(similarities)) for row in similarities]
    scores = [1 / len(similarities)] * len(similarities)
    for _ in range(options.max_rounds):
        fresh = _spread(scores, matrix, totals, options.damping)
        change = sum(map(abs, map(operator.sub, fresh, scores)))
        scores = fresh
        if change < options.tolerance:
            break
    return scores


def _fill(row: Mapping[int, float], length: int) -> list[float]:
    """With 0 where the row has nothing."""
    full = [0.0] * length
    for j, similarity in row.items():
        full[j] = similarity
    return full


def _spread(
    scores: Sequence[float],
    matrix: Sequence[Sequence[float]],
    totals: Sequence[float],
    damping: float,
) -> list[float]:
    """One round: every sentence hands its score on, in proportion to similarity."""
    loose = 0.0
    if 0 in totals:
        loose = sum(score for score, total in zip(scores, totals, strict=True) if not total)
    base = (1 - damping + damping * loose) / len(scores)
    shares = [
        damping * score / total if total else 0.0
        for score, total in zip(scores, totals, strict=True)
    ]
    # The matrix is symmetric, so its rows are its columns.
    return [base + sum(map(operator.mul, row, shares)) for row in matrix]


def _choose(
    candidates: Sequence[Sentence],
    scores: Sequence[float],
    similarities: Sequence[Mapping[int, float]],
    wanted: int,
    options: SummaryOptions,
) -> list[int]:
    """Best first within the speakers' quotas and without repeats; returned in call order."""
    speakers = {sentence.speaker for sentence in candidates}
    quota = math.ceil(wanted * options.max_share) if len(speakers) > 1 else wanted
    order = sorted(range(len(candidates)), key=lambda i: (-scores[i], i))
    taken: Counter[str] = Counter()
    chosen: list[int] = []
    for i in order:
        if len(chosen) == wanted:
            break
        speaker = candidates[i].speaker
        is_repeat = any(similarities[i].get(j, 0.0) >= options.max_similarity for j in chosen)
        if taken[speaker] < quota and not is_repeat:
            chosen.append(i)
            taken[speaker] += 1
    return sorted(chosen)


class SummaryFindings(Findings):
    summary: Summary | None


@dataclass(frozen=True, slots=True)
class SummaryAnalyzer(ForEverything):
    """The most telling sentences."""

    name: ClassVar[str] = "summary"
    version: ClassVar[str] = "1"
    needs: ClassVar[tuple[str, ...]] = ("sentences",)
    options: SummaryOptions = DEFAULT

    def run(self, document: Document, shared: Shared) -> Findings:
        return SummaryFindings(summary=summarize(shared.sentences, self.options))
