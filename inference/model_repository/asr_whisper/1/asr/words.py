"""Word times from the decoder's attention, as Whisper's authors do it. Pure.

CTranslate2 aligns tokens with encoder frames; here token times become word times and words go to
the segments they belong to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from asr.engine import Segment, Word

SECONDS_PER_FRAME = 0.02

WordTokens = tuple[str, int]
"""A word as it is written and the number of its tokens."""


@dataclass(frozen=True)
class Alignment:
    """What CTranslate2 found for one window."""

    pairs: Sequence[tuple[int, int]]
    """(token, frame) along the best path; tokens count from 0, one more for the end."""
    probabilities: Sequence[float]
    """Of each token."""


def add_words(
    segments: Sequence[Segment], words: Sequence[WordTokens], alignment: Alignment
) -> tuple[Segment, ...]:
    """The segments with their words; `words` covers the tokens of all segments in order."""
    timed = _time_words(words, alignment)
    boundary, taken, result = 0, 0, []
    for segment in segments:
        boundary += len(segment.tokens)
        own: list[Word] = []
        while taken < len(timed) and timed[taken][0] < boundary:
            own.append(timed[taken][1])
            taken += 1
        result.append(replace(segment, words=tuple(own)))
    return tuple(result)


def _time_words(words: Sequence[WordTokens], alignment: Alignment) -> list[tuple[int, Word]]:
    """Each word with the index of its first token."""
    starts = _find_starts(alignment.pairs)
    timed, at = [], 0
    for text, count in words:
        end = at + count
        if end >= len(starts):
            break
        share = alignment.probabilities[at:end]
        word = Word(
            text=text.strip(),
            start_seconds=round(starts[at] * SECONDS_PER_FRAME, 2),
            end_seconds=round(starts[end] * SECONDS_PER_FRAME, 2),
            probability=sum(share) / len(share) if share else 0.0,
        )
        timed.append((at, word))
        at = end
    return timed


def _find_starts(pairs: Sequence[tuple[int, int]]) -> list[int]:
    """The frame at which each token is reached first."""
    starts: dict[int, int] = {}
    for token, frame in pairs:
        starts.setdefault(token, frame)
    return [starts[token] for token in sorted(starts)]
