"""From a window's result to segments of the call, and from all of them to the transcript. Pure."""

import math
from collections.abc import Iterable

import numpy as np
from parlance.contracts.calls import Segment
from parlance.contracts.tensors import SAMPLE_RATE_HZ, AsrSegment, AsrWindow
from parlance.inference.audio.packer import Window
from parlance.inference.calls import splitting
from parlance.inference.speakers.channels import ChannelSpeaker

_SILENCE_POWER = 1e-10
"""-100 dB: below the last bit of a sample."""


def format_segment_id(window: int, number: int) -> str:
    """The same in every run, unique in the call."""
    return f"{window}-{number}"


def build_segments(
    window: Window, answer: AsrWindow, speaker: ChannelSpeaker
) -> tuple[Segment, ...]:
    """Segments in call time, inside the window, none empty. A dropped window has none."""
    return tuple(
        _build_segment(window, recognized, number, speaker, answer.avg_logprob)
        for number, recognized in enumerate(_select_spoken(window, answer))
    )


def measure_levels(window: Window, answer: AsrWindow) -> tuple[float, ...]:
    """Loudness of the same segments: RMS in dB relative to full scale."""
    return tuple(
        _measure_level(window, recognized.start_seconds, recognized.end_seconds)
        for recognized in _select_spoken(window, answer)
    )


def _select_spoken(window: Window, answer: AsrWindow) -> list[AsrSegment]:
    if answer.guard == "dropped":
        return []
    spoken = (recognized for recognized in answer.segments if recognized.text.strip())
    return [
        part for recognized in spoken for part in splitting.split_at_silences(recognized, window)
    ]


def _measure_level(window: Window, start_seconds: float, end_seconds: float) -> float:
    sound_seconds = sum(piece.length_seconds for piece in window.pieces)  # the rest is filling
    end_seconds = min(end_seconds, sound_seconds)
    first, last = (int(at * SAMPLE_RATE_HZ) for at in (start_seconds, end_seconds))
    samples = window.samples[first : max(last, first + 1)].astype(np.float32)
    power = float(np.mean(np.square(samples))) / 32768**2 if samples.size else 0.0
    return round(10 * math.log10(max(power, _SILENCE_POWER)), 1)


def _build_segment(
    window: Window,
    recognized: AsrSegment,
    number: int,
    speaker: ChannelSpeaker,
    window_logprob: float | None,
) -> Segment:
    start_seconds = _clip(window.to_call_seconds(recognized.start_seconds), window)
    end_seconds = _clip(window.to_call_seconds(recognized.end_seconds, is_end=True), window)
    logprob = recognized.avg_logprob if recognized.avg_logprob is not None else window_logprob
    return Segment(
        id=format_segment_id(window.index, number),
        channel=window.channel,
        speaker=speaker.key,
        role=speaker.role,
        start_seconds=start_seconds,
        end_seconds=max(start_seconds, end_seconds),
        text=recognized.text.strip(),
        confidence=None if logprob is None else round(min(1.0, math.exp(logprob)), 4),
    )


def sort_segments(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """By start time; at the same moment the lower channel first."""
    return tuple(sorted(segments, key=lambda s: (s.start_seconds, s.channel, s.end_seconds)))


def _clip(seconds: float, window: Window) -> float:
    return round(min(max(seconds, window.start_seconds), window.end_seconds), 3)
