"""Packing spans of speech into windows for the speech model, and finding the way back.

A window holds the sound of several spans with the silence between them taken out, because the
model costs the same for any window. Times inside a window are mapped back piece by piece.
"""

import bisect
import dataclasses

import numpy as np
from parlance.inference.audio.channels import SAMPLE_RATE_HZ, Samples
from parlance.inference.audio.speech import Span


@dataclasses.dataclass(frozen=True, slots=True)
class PackerOptions:
    """Shape of the windows. Part of their identity, like `SpeechOptions`."""

    max_window_seconds: float = 29.0
    pad_seconds: float = 0.25
    """Kept before and after each span. With 0.15 whole windows were lost now and then (tiny.en, 173
    telephone prompts: 8.6 % words wrong instead of 2.6 %); more only makes more windows."""
    max_extent_seconds: float = 90.0
    """A window does not reach further in call time: its words would come too late."""
    first_min_seconds: float = 3.0
    """The first window of a channel ends at the first pause after this..."""
    first_max_seconds: float = 8.0
    """...and takes no span that would make it longer than this..."""
    first_max_extent_seconds: float = 10.0
    """...nor waits longer than this for one."""
    min_window_seconds: float = 0.5
    """A shorter one is filled with silence: a call may end just after its speech was cut, and the
    speech model refuses what is shorter than 0.1 s."""


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a window that is contiguous in the call."""

    window_start_seconds: float
    call_start_seconds: float
    length_seconds: float


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Window:
    """One request to the speech model."""

    index: int
    """Counts the windows of the call, all channels, in the order in which they are made."""
    channel: int
    samples: Samples
    """int16, shape (samples,), 16 kHz, `min_window_seconds` to `max_window_seconds` long. What was
    filled with silence is in no piece."""
    pieces: tuple[Piece, ...]

    @property
    def start_seconds(self) -> float:
        """Call time of its first sample."""
        return self.pieces[0].call_start_seconds

    @property
    def end_seconds(self) -> float:
        """Call time after its last sample."""
        last = self.pieces[-1]
        return last.call_start_seconds + last.length_seconds

    @property
    def length_seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ

    def to_call_seconds(self, window_seconds: float, *, is_end: bool = False) -> float:
        """Call time of a window time, clipped to the window.

        Where two pieces meet, an end belongs to the first one and a start to the second.
        """
        starts = [piece.window_start_seconds for piece in self.pieces]
        find = bisect.bisect_left if is_end else bisect.bisect_right
        piece = self.pieces[max(0, find(starts, window_seconds) - 1)]
        offset = min(max(0.0, window_seconds - piece.window_start_seconds), piece.length_seconds)
        return piece.call_start_seconds + offset


class AudioTail:
    """The last seconds of a channel, until no span can need them any more."""

    def __init__(self) -> None:
        self._samples: Samples = np.zeros(0, np.int16)
        self._first_sample = 0

    @property
    def end_sample(self) -> int:
        return self._first_sample + len(self._samples)

    def append(self, samples: Samples) -> None:
        self._samples = np.concatenate((self._samples, samples))

    def read(self, start_sample: int, end_sample: int) -> Samples:
        first = self._first_sample
        return self._samples[start_sample - first : end_sample - first].copy()

    def forget_before(self, sample: int) -> None:
        count = min(max(0, sample - self._first_sample), len(self._samples))
        self._samples = self._samples[count:]
        self._first_sample += count


@dataclasses.dataclass(slots=True)
class _Draft:
    """A window being filled: (first sample in the call, sound) of its pieces."""

    pieces: list[tuple[int, Samples]] = dataclasses.field(default_factory=list)

    @property
    def length(self) -> int:
        return sum(len(sound) for _, sound in self.pieces)

    @property
    def start_sample(self) -> int:
        return self.pieces[0][0]


class ChannelPacker:
    """Windows of one channel. Feed spans in order; `advance` says how far the channel is."""

    def __init__(self, options: PackerOptions, channel: int) -> None:
        self._options = options
        self._channel = channel
        self._draft = _Draft()
        self._is_first = True
        self._packed_until = 0
        self._pad = _samples(options.pad_seconds)

    def add(self, span: Span, tail: AudioTail) -> list["Sound"]:
        """Pack a span; returns the windows (as `Sound`) that are complete by that."""
        start = max(self._packed_until, span.start_sample - self._pad)
        pad_after = 0 if span.is_cut else self._pad
        end = min(span.end_sample + pad_after, tail.end_sample)
        done = []
        if self._draft.pieces and not self._fits(start, end):
            done.append(self._close())
        self._draft.pieces.append((start, tail.read(start, end)))
        self._packed_until = end
        if self._is_first and self._draft.length >= _samples(self._options.first_min_seconds):
            done.append(self._close())
        return done

    def advance(self, sample: int) -> list["Sound"]:
        """The channel is known up to this sample: close a window that has waited too long."""
        if self._draft.pieces and sample - self._draft.start_sample > self._max_extent:
            return [self._close()]
        return []

    def finish(self) -> list["Sound"]:
        return [self._close()] if self._draft.pieces else []

    @property
    def _max_extent(self) -> int:
        options = self._options
        seconds = options.first_max_extent_seconds if self._is_first else options.max_extent_seconds
        return _samples(seconds)

    def _fits(self, start: int, end: int) -> bool:
        options = self._options
        seconds = options.first_max_seconds if self._is_first else options.max_window_seconds
        is_short_enough = self._draft.length + end - start <= _samples(seconds)
        return is_short_enough and end - self._draft.start_sample <= self._max_extent

    def _close(self) -> "Sound":
        draft, self._draft, self._is_first = self._draft, _Draft(), False
        return Sound(self._channel, tuple(draft.pieces), _samples(self._options.min_window_seconds))


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """A finished window without its number, which the whole call gives."""

    channel: int
    parts: tuple[tuple[int, Samples], ...]
    """(first sample in the call, sound), ascending."""
    min_samples: int

    def build_window(self, index: int) -> Window:
        pieces: list[Piece] = []
        position = 0
        for start, sound in self.parts:
            pieces.append(_build_piece(position, start, len(sound)))
            position += len(sound)
        silence = np.zeros(max(0, self.min_samples - position), np.int16)
        samples = np.concatenate([*(sound for _, sound in self.parts), silence])
        return Window(index, self.channel, samples, tuple(pieces))


def _build_piece(position: int, start: int, length: int) -> Piece:
    return Piece(position / SAMPLE_RATE_HZ, start / SAMPLE_RATE_HZ, length / SAMPLE_RATE_HZ)


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)
