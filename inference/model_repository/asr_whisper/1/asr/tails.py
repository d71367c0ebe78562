"""Speech that Whisper left untouched at the end of a window. Pure.

With timestamps Whisper may stop early and expect to be asked again from its last timestamp; very
fast speech may reach the limit of one text in the middle of a sentence. Read as it is, such a
window loses up to a third of its words. So the rest is decoded as a window of its own and put
behind, in the place of a sentence that was cut off.
"""

from dataclasses import replace

import numpy as np

from asr.engine import Guard, Segment, Transcript, Window
from asr.mel import SAMPLE_RATE_HZ

MIN_TAIL_SECONDS = 1.5  # a shorter rest is a pause, or the inexact end of the last word
MIN_RELATIVE_LEVEL = 0.1  # 20 dB below the whole window is background
REASON = "stopped_early"


def find_tail(window: Window, transcript: Transcript) -> float | None:
    """Where the rest starts, in seconds; None when there is none worth decoding."""
    if not window.options.timestamps or not transcript.segments:
        return None
    start_seconds = transcript.unfinished_from
    if start_seconds is None:
        start_seconds = transcript.segments[-1].end_seconds
    tail = cut_tail(window, start_seconds).pcm
    if len(tail) < MIN_TAIL_SECONDS * SAMPLE_RATE_HZ:
        return None
    is_loud = _measure_level(tail) > MIN_RELATIVE_LEVEL * _measure_level(window.pcm)
    return start_seconds if is_loud else None


def cut_tail(window: Window, start_seconds: float) -> Window:
    """The window from `start_seconds` on."""
    return replace(window, pcm=window.pcm[round(start_seconds * SAMPLE_RATE_HZ) :])


def append_tail(transcript: Transcript, tail: Transcript, start_seconds: float) -> Transcript:
    """Both texts as one; nothing changes where the tail turned out to be no speech."""
    if not tail.segments:
        return transcript
    finished = transcript.segments
    if transcript.unfinished_from is not None and finished[-1].start_seconds >= start_seconds:
        finished = finished[:-1]
    return replace(
        transcript,
        segments=(*finished, *(_shift(s, start_seconds) for s in tail.segments)),
        unfinished_from=None,
        guard=Guard.RETRIED,
        guard_reason=transcript.guard_reason or REASON,
    )


def _measure_level(pcm: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(pcm, dtype=np.float64))))


def _shift(segment: Segment, seconds: float) -> Segment:
    return replace(
        segment,
        start_seconds=round(segment.start_seconds + seconds, 2),
        end_seconds=round(segment.end_seconds + seconds, 2),
        words=tuple(
            replace(
                word,
                start_seconds=round(word.start_seconds + seconds, 2),
                end_seconds=round(word.end_seconds + seconds, 2),
            )
            for word in segment.words
        ),
    )
