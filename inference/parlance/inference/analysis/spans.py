"""Arithmetic of time spans in whole milliseconds. Pure.

Integers, so that sums are exact: talk + silence - overlap is the duration, not nearly so.
"""

from collections.abc import Iterable

Span = tuple[int, int]
"""(start, end) in milliseconds, start < end."""
Spans = tuple[Span, ...]
"""Ascending and apart: each starts after the one before has ended."""


def to_ms(seconds: float) -> int:
    return round(seconds * 1000)


def merge(spans: Iterable[Span], *, gap_ms: int = 0) -> Spans:
    """Any spans as ascending ones; those at most `gap_ms` apart become one, empty ones vanish."""
    merged: list[Span] = []
    for start, end in sorted((max(0, start), end) for start, end in spans):
        if end <= start:
            continue
        if merged and start - merged[-1][1] <= gap_ms:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)


def measure(spans: Spans) -> int:
    """Total length in milliseconds."""
    return sum(end - start for start, end in spans)


def complement(spans: Spans, duration_ms: int) -> Spans:
    """What of [0, duration_ms] the spans leave free; they lie within it."""
    edges = [0, *(edge for span in spans for edge in span), duration_ms]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return tuple((start, end) for start, end in pairs if start < end)


def intersect(one: Spans, other: Spans) -> Spans:
    """Time that both cover."""
    shared: list[Span] = []
    i = j = 0
    while i < len(one) and j < len(other):
        start, end = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if start < end:
            shared.append((start, end))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return tuple(shared)
