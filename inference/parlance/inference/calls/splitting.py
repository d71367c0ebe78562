"""Parting a text that reaches over a long silence which its window leaves out. Pure.

Windows hold sound only, so the model does not know that minutes may lie between two sentences, and
may write both as one. As a single segment it would span the silence, and what the other party said
meanwhile would stand behind it. Called by `calls.segments`.
"""

from collections.abc import Iterable, Iterator

from parlance.contracts.tensors import AsrSegment
from parlance.inference.audio.packer import Window

MAX_SILENCE_SECONDS = 3.0
"""A segment may span this much: people pause within a sentence."""
_MIN_PART_SECONDS = 0.2
"""Times of the model are no better than this: less on one side belongs to the other."""
_SEARCH_WORDS = 3
"""How far from the place that time suggests a sentence end is looked for."""
_SENTENCE_ENDS = (".", "?", "!", "…", "。")


def split_at_silences(recognized: AsrSegment, window: Window) -> list[AsrSegment]:
    """The parts of a segment, in window time, none over a long silence; often just itself."""
    parts = [recognized]
    for at_seconds in _find_silences(window):
        parts[-1:] = _split(parts[-1], at_seconds)
    return parts


def _find_silences(window: Window) -> Iterator[float]:
    """Window times at which more than `MAX_SILENCE_SECONDS` of the call are left out."""
    for before, after in zip(window.pieces, window.pieces[1:], strict=False):
        end_seconds = before.call_start_seconds + before.length_seconds
        if after.call_start_seconds - end_seconds > MAX_SILENCE_SECONDS:
            yield after.window_start_seconds


def _split(recognized: AsrSegment, at_seconds: float) -> list[AsrSegment]:
    before_seconds = at_seconds - recognized.start_seconds
    after_seconds = recognized.end_seconds - at_seconds
    if before_seconds <= 0 or after_seconds <= 0:
        return [recognized]
    first = recognized.model_copy(update={"end_seconds": at_seconds})
    second = recognized.model_copy(update={"start_seconds": at_seconds})
    words = recognized.text.split()
    if len(words) < 2 or min(before_seconds, after_seconds) < _MIN_PART_SECONDS:
        return [first if before_seconds >= after_seconds else second]
    count = _count_words_before(words, before_seconds / (before_seconds + after_seconds))
    return [
        first.model_copy(update={"text": " ".join(words[:count])}),
        second.model_copy(update={"text": " ".join(words[count:])}),
    ]


def _count_words_before(words: list[str], share: float) -> int:
    """By time, moved to the nearest end of a sentence where there is one."""
    likely = min(max(1, round(share * len(words))), len(words) - 1)
    ends: Iterable[int] = (
        count
        for count in range(1, len(words))
        if abs(count - likely) <= _SEARCH_WORDS and words[count - 1].endswith(_SENTENCE_ENDS)
    )
    return min(ends, key=lambda count: abs(count - likely), default=likely)
