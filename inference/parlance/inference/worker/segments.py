"""From a window's result to segments of the call, and from all of them to the transcript. Pure."""

import math
from collections.abc import Iterable

from parlance.contracts.calls import Segment
from parlance.contracts.tensors import AsrSegment, AsrWindow
from parlance.inference.audio.packer import Window
from parlance.inference.speakers.channels import ChannelSpeaker


def format_segment_id(window: int, number: int) -> str:
    """The same in every run, unique in the call."""
    return f"{window}-{number}"


def build_segments(
    window: Window, answer: AsrWindow, speaker: ChannelSpeaker
) -> tuple[Segment, ...]:
    """Segments in call time, inside the window, none empty. A dropped window has none."""
    if answer.guard == "dropped":
        return ()
    spoken = [heard for heard in answer.segments if heard.text.strip()]
    return tuple(
        _build_segment(window, heard, number, speaker, answer.avg_logprob)
        for number, heard in enumerate(spoken)
    )


def _build_segment(
    window: Window,
    heard: AsrSegment,
    number: int,
    speaker: ChannelSpeaker,
    window_logprob: float | None,
) -> Segment:
    start_seconds = _clip(window.to_call_seconds(heard.start_seconds), window)
    end_seconds = _clip(window.to_call_seconds(heard.end_seconds, is_end=True), window)
    logprob = heard.avg_logprob if heard.avg_logprob is not None else window_logprob
    return Segment(
        id=format_segment_id(window.index, number),
        channel=window.channel,
        speaker=speaker.key,
        role=speaker.role,
        start_seconds=start_seconds,
        end_seconds=max(start_seconds, end_seconds),
        text=heard.text.strip(),
        confidence=None if logprob is None else round(min(1.0, math.exp(logprob)), 4),
    )


def sort_segments(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """By start time; at the same moment the lower channel first."""
    return tuple(sorted(segments, key=lambda s: (s.start_seconds, s.channel, s.end_seconds)))


def _clip(seconds: float, window: Window) -> float:
    return round(min(max(seconds, window.start_seconds), window.end_seconds), 3)
