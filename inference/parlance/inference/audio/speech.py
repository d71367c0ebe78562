"""From probabilities to spans of speech. Pure, frame by frame, the same for any block size."""

import dataclasses
import math
from collections.abc import Iterable

from parlance.inference.audio.channels import SAMPLE_RATE_HZ
from parlance.inference.audio.vad import FRAME_SAMPLES


@dataclasses.dataclass(frozen=True, slots=True)
class SpeechOptions:
    """Hysteresis of the voice detection. Part of the window's identity: changing one changes the
    windows of a call that is running."""

    threshold: float = 0.5
    """Speech begins at a frame with at least this probability..."""
    silence_threshold: float = 0.35
    """...and goes on until it was lower than this for `min_silence_seconds`."""
    min_speech_seconds: float = 0.1
    """Shorter spans are clicks."""
    min_silence_seconds: float = 0.256
    max_speech_seconds: float = 28.0
    """Longer speech is cut at its quietest point, which is looked for in the last `search`."""
    first_max_speech_seconds: float = 7.5
    """The same for the first span of a channel: the first words shall appear early."""
    search_seconds: float = 8.0
    first_search_seconds: float = 3.0


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """Speech, in samples of the channel."""

    start_sample: int
    end_sample: int
    is_cut: bool = False
    """It goes on: the next span starts where this one ends."""


class SpeechTracker:
    """The state of one channel: silent, or speaking since a frame."""

    def __init__(self, options: SpeechOptions) -> None:
        self._options = options
        self._min_speech_frames = _frames(options.min_speech_seconds)
        self._min_silence_frames = _frames(options.min_silence_seconds)
        self._max_frames = _frames(options.first_max_speech_seconds)
        self._search_frames = _frames(options.first_search_seconds)
        self._frame = 0
        self._start: int | None = None
        self._silent_since: int | None = None
        self._is_continued = False
        self._energies: list[float] = []
        """Of the frames since `_start`."""

    @property
    def open_since_sample(self) -> int | None:
        """Where the span that is not finished yet began."""
        return None if self._start is None else self._start * FRAME_SAMPLES

    def feed(self, probabilities: Iterable[float], energies: Iterable[float]) -> list[Span]:
        """The spans that end within these frames."""
        spans: list[Span] = []
        for probability, energy in zip(probabilities, energies, strict=True):
            span = self._step(probability, energy)
            if span is not None:
                spans.append(span)
        return spans

    def finish(self, total_samples: int) -> list[Span]:
        """The recording is over; closes a span that is open at its end."""
        if self._start is None:
            return []
        end = self._frame if self._silent_since is None else self._silent_since
        span = self._close(end)
        if span is None:
            return []
        return [dataclasses.replace(span, end_sample=min(span.end_sample, total_samples))]

    def _step(self, probability: float, energy: float) -> Span | None:
        frame = self._frame
        self._frame += 1
        if self._start is None:
            if probability >= self._options.threshold:
                self._start = frame
                self._energies = [energy]
            return None
        self._energies.append(energy)
        if probability >= self._options.threshold:
            self._silent_since = None
        elif probability < self._options.silence_threshold and self._silent_since is None:
            self._silent_since = frame
        if (
            self._silent_since is not None
            and self._frame - self._silent_since >= self._min_silence_frames
        ):
            return self._close(self._silent_since)
        return self._cut() if self._frame - self._start >= self._max_frames else None

    def _close(self, end: int) -> Span | None:
        assert self._start is not None
        start, is_continued = self._start, self._is_continued
        self._start = self._silent_since = None
        self._is_continued = False
        self._energies = []
        if end - start < self._min_speech_frames and not is_continued:
            return None
        self._use_later_limits()
        return Span(start * FRAME_SAMPLES, end * FRAME_SAMPLES) if end > start else None

    def _cut(self) -> Span:
        """End the span at the quietest of its last seconds and go on from there."""
        assert self._start is not None
        length = self._find_quietest()
        span = Span(self._start * FRAME_SAMPLES, (self._start + length) * FRAME_SAMPLES, True)
        self._start += length
        self._energies = self._energies[length:]
        self._is_continued = True
        if self._silent_since is not None:
            self._silent_since = max(self._silent_since, self._start)
        self._use_later_limits()
        return span

    def _find_quietest(self) -> int:
        """Frame, counted from the span's start, whose neighbourhood of three is the quietest."""
        count = len(self._energies)
        first = max(1, count - self._search_frames)
        return min(range(first, count - 1), key=lambda i: sum(self._energies[i - 1 : i + 2]))

    def _use_later_limits(self) -> None:
        self._max_frames = _frames(self._options.max_speech_seconds)
        self._search_frames = _frames(self._options.search_seconds)


def _frames(seconds: float) -> int:
    return math.ceil(seconds * SAMPLE_RATE_HZ / FRAME_SAMPLES - 1e-9)
