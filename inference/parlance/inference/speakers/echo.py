"""Echo between channels: the same words at the same time, once loud and once faint.

A handset that picks up the other party puts every sentence on both channels. The faint copy is
dropped, with its voice activity, or both speakers would seem to talk at once. Pure; called by the
worker after the last window, when it has measured how loud each segment is.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from parlance.contracts.calls import Segment, Speech

_MIN_WORDS = 3
"""Two people may well say "hello" or "thank you" together; three words in a row are an echo."""
_MIN_LEVEL_GAP_DB = 6.0
_MIN_SHARED_TIME = 0.6
_MIN_SHARED_WORDS = 0.8
_Times = tuple[float, float]
"""Start and end in the call, seconds."""
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def find_echoes(segments: Iterable[Segment], level_db: Mapping[str, float]) -> frozenset[str]:
    """Ids of segments that only repeat what another channel carries louder.

    `level_db`: loudness of segments by id, dB relative to full scale. A segment without a level is
    never dropped and drops none.
    """
    return frozenset(
        faint.id
        for one, other in _overlapping(segments)
        if one.id in level_db and other.id in level_db
        for faint, loud in [sorted((one, other), key=lambda segment: level_db[segment.id])]
        if level_db[loud.id] - level_db[faint.id] >= _MIN_LEVEL_GAP_DB and _repeats(faint, loud)
    )


def drop_echoes(
    segments: Sequence[Segment], speech: Sequence[Speech], level_db: Mapping[str, float]
) -> tuple[tuple[Segment, ...], tuple[Speech, ...]]:
    """Segments and voice activity without the echoes that `find_echoes` names."""
    echoes = find_echoes(segments, level_db)
    kept = tuple(segment for segment in segments if segment.id not in echoes)
    cuts = [
        (segment.channel, segment.start_seconds, segment.end_seconds)
        for segment in segments
        if segment.id in echoes
    ]
    return kept, tuple(_cut(track, cuts) for track in speech)


def _overlapping(segments: Iterable[Segment]) -> Iterator[tuple[Segment, Segment]]:
    """Pairs on different channels that share time; linear, as few segments are open at once."""
    is_open: list[Segment] = []
    for segment in sorted(segments, key=lambda segment: (segment.start_seconds, segment.id)):
        is_open = [other for other in is_open if other.end_seconds > segment.start_seconds]
        yield from ((other, segment) for other in is_open if other.channel != segment.channel)
        is_open.append(segment)


def _repeats(faint: Segment, loud: Segment) -> bool:
    shared_seconds = min(faint.end_seconds, loud.end_seconds) - max(
        faint.start_seconds, loud.start_seconds
    )
    if shared_seconds < _MIN_SHARED_TIME * (faint.end_seconds - faint.start_seconds):
        return False
    faint_words, loud_words = (_WORD.findall(s.text.casefold()) for s in (faint, loud))
    if len(faint_words) < _MIN_WORDS:
        return False
    matcher = SequenceMatcher(None, faint_words, loud_words, autojunk=False)
    shared_words = sum(block.size for block in matcher.get_matching_blocks())
    return shared_words >= _MIN_SHARED_WORDS * len(faint_words)


def _cut(track: Speech, cuts: Iterable[tuple[int, float, float]]) -> Speech:
    """The track without the cut times of its channel."""
    own = _merge((start, end) for channel, start, end in cuts if channel == track.channel)
    return track.model_copy(update={"spans": tuple(_subtract(track.spans, own))})


def _merge(times: Iterable[_Times]) -> list[_Times]:
    """In order, without overlaps."""
    merged: list[_Times] = []
    for start, end in sorted(times):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _subtract(spans: Iterable[_Times], cuts: Sequence[_Times]) -> Iterator[_Times]:
    """What is left of the spans, in one sweep over both; the cuts do not overlap."""
    first = 0
    for start, end in sorted(spans):
        while first < len(cuts) and cuts[first][1] <= start:
            first += 1
        at = first
        while at < len(cuts) and cuts[at][0] < end:
            if cuts[at][0] > start:
                yield start, cuts[at][0]
            start = max(start, cuts[at][1])
            at += 1
        if start < end:
            yield start, end
