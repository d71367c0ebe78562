"""The seam of this package: what a speech recogniser takes and gives.

whisper.py is the CTranslate2 implementation; another runtime or another model family
(Parakeet, ONNX) replaces it by implementing `Engine`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asr.options import Options

IsCancelled = Callable[[], bool]


def _never() -> bool:
    return False


@dataclass(frozen=True, eq=False)
class Window:
    """One piece of speech to transcribe."""

    pcm: NDArray[np.int16]
    """int16, shape (samples,), mono, 16 kHz, at most 30 s."""
    options: Options
    is_cancelled: IsCancelled = _never
    """Asked before each decode; a cancelled window gets no result."""


@dataclass(frozen=True)
class Word:
    """One word with its times inside the window."""

    text: str
    start_seconds: float
    end_seconds: float
    probability: float


@dataclass(frozen=True)
class Segment:
    """About one sentence; times count from the start of the window."""

    text: str
    start_seconds: float
    end_seconds: float
    tokens: tuple[int, ...]
    words: tuple[Word, ...] = ()


class Guard(StrEnum):
    """What the guards decided about a window."""

    OK = "ok"
    RETRIED = "retried"
    DROPPED = "dropped"


@dataclass(frozen=True)
class Transcript:
    """What was heard in one window, and how sure the model is."""

    segments: tuple[Segment, ...]
    avg_logprob: float
    no_speech_prob: float
    temperature: float
    language: str
    language_confidence: float | None = None
    """None where the language was given or the model knows only one."""
    guard: Guard = Guard.OK
    guard_reason: str = ""
    """The first fault found (`guards.Fault`), also where a later attempt was fine."""
    batch: int = 1
    """How many windows were decoded together with this one."""
    unfinished_from: float | None = None
    """Where the sentence starts that the token limit cut off, in seconds; None where none was, or
    nothing stands before it."""
    dropped_text: str = field(default="", repr=False)
    """What the model said where the guards dropped it; kept so that decisions can be audited."""

    @property
    def text(self) -> str:
        """All segments as one line."""
        return " ".join(segment.text for segment in self.segments)


class Engine(Protocol):
    """A loaded model."""

    name: str
    digest: str
    """SHA-256 of the weights, hexadecimal."""

    def check(self, options: Options) -> None:
        """Raise InvalidWindow for options this model cannot follow."""
        ...

    def transcribe(self, windows: Sequence[Window]) -> list[Transcript | None]:
        """Transcribe all, in order; None for a window cancelled before its turn."""
        ...
