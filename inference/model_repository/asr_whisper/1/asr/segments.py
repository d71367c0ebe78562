"""From the tokens Whisper emits to segments with times. Pure.

With timestamps the model writes `<|0.00|> text <|2.40|><|2.40|> text <|5.10|>`; without, the
whole window is one segment.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asr.engine import Segment

SECONDS_PER_TIMESTAMP = 0.02

DecodeText = Callable[[Sequence[int]], str]


@dataclass(frozen=True)
class _Span:
    start_seconds: float
    end_seconds: float
    tokens: tuple[int, ...]


def parse_segments(
    tokens: Sequence[int],
    *,
    timestamp_begin: int,
    duration_seconds: float,
    decode: DecodeText,
) -> tuple[Segment, ...]:
    """Split `tokens` at their timestamps; times are clipped to the window and never go back."""
    segments = []
    for span in _split_spans(tokens, timestamp_begin, duration_seconds):
        text = decode(span.tokens).strip()
        # A lone "." is what Whisper writes for a click or a breath.
        if any(character.isalnum() for character in text):
            segments.append(Segment(text, span.start_seconds, span.end_seconds, span.tokens))
    return tuple(segments)


def find_unfinished(
    tokens: Sequence[int], *, timestamp_begin: int, duration_seconds: float
) -> float | None:
    """Where the text behind the last timestamp starts; None when there is none, or none before."""
    spans = _split_spans(tokens, timestamp_begin, duration_seconds)
    is_open = bool(tokens) and tokens[-1] < timestamp_begin
    return spans[-1].start_seconds if is_open and len(spans) > 1 else None


def _split_spans(tokens: Sequence[int], timestamp_begin: int, duration: float) -> list[_Span]:
    spans: list[_Span] = []
    start, text = 0.0, list[int]()
    for token in tokens:
        if token < timestamp_begin:
            text.append(token)
            continue
        seconds = min((token - timestamp_begin) * SECONDS_PER_TIMESTAMP, duration)
        seconds = round(max(seconds, start), 2)
        if text:
            spans.append(_Span(start, seconds, tuple(text)))
            text = []
        start = seconds
    if text:  # cut off by the token limit, or decoded without timestamps
        spans.append(_Span(start, round(max(duration, start), 2), tuple(text)))
    return spans
