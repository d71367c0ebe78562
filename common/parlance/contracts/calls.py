"""What a call is made of: its options, its states, its segments, its transcript.

Times are seconds of call time (0.0 is the first sample). Written by the worker, stored by the
recorder, served by the API.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .values import Value

Seconds = Annotated[float, Field(ge=0)]


class Priority(StrEnum):
    """Which queue lane a job waits in; workers serve the lanes 8:3:1."""

    INTERACTIVE = "interactive"
    STANDARD = "standard"
    BULK = "bulk"


class ChannelPolicy(StrEnum):
    """How audio channels map to speakers."""

    AUTO = "auto"
    """Two different channels are two speakers; anything else is one."""
    MONO = "mono"
    """Mix everything down to one channel."""
    AGENT_LEFT = "agent_left"
    AGENT_RIGHT = "agent_right"


class CallStatus(StrEnum):
    """State of a call as API clients see it."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in (CallStatus.COMPLETED, CallStatus.FAILED, CallStatus.CANCELLED)


class Stage(StrEnum):
    """Steps of a call; each can fail without failing the others."""

    TRANSCRIBE = "transcribe"
    SPEAKERS = "speakers"
    INSIGHTS = "insights"


class Role(StrEnum):
    """Who speaks or writes; `unknown` rather than wrong."""

    AGENT = "agent"
    CUSTOMER = "customer"
    BOT = "bot"
    SYSTEM = "system"
    """Not a person: a note of the help desk, such as a change of state."""
    UNKNOWN = "unknown"


class Word(Value):
    text: str
    start_seconds: Seconds
    end_seconds: Seconds
    confidence: float | None = None


class Sentiment(Value):
    """Polarity of a text: `score` in [-1, 1] (VADER compound), `label` by the +-0.05 cuts."""

    score: float
    label: str


class Segment(Value):
    """A stretch of speech of one speaker on one channel."""

    id: str
    """`<window>-<n>`: stable across retries, unique in the transcript. On the bus ids begin anew
    after a `call.reset`."""
    channel: int
    speaker: str
    """Key of the speaker, always there: `speaker_0`, `speaker_1`..."""
    role: Role = Role.UNKNOWN
    start_seconds: Seconds
    end_seconds: Seconds
    text: str
    confidence: float | None = None
    """exp(mean log-probability of the tokens), in [0, 1]."""
    words: tuple[Word, ...] | None = None
    sentiment: Sentiment | None = None


class MediaInfo(Value):
    """What the decoder found. `duration_seconds` is exact once the whole file was decoded."""

    container: str
    codec: str
    channels: int
    sample_rate_hz: int
    duration_seconds: Seconds
    duration_estimated: bool = False
    truncated: bool = False


class ModelInfo(Value):
    """Which model produced a transcript; `hash` names weights, decoding and how windows are cut."""

    name: str
    hash: str
    runtime: str = ""


class Speech(Value):
    """Voice activity of one channel, from the VAD: call metrics rest on it, not on the words."""

    channel: int
    spans: tuple[tuple[float, float], ...]
    """(start, end) in seconds, ascending, not overlapping."""


class Transcript(Value):
    """The artefact `transcript.json`."""

    call_id: str
    attempt: int
    language: str
    language_confidence: float | None = None
    media: MediaInfo
    model: ModelInfo
    segments: tuple[Segment, ...]
    """Ordered by start time."""
    role_confidence: float | None = None
    """How sure the guess is of who is the agent, in [0.5, 1); absent where nothing was guessed: the
    job says which channel is whose, or nobody can tell."""
    speech: tuple[Speech, ...]
    dropped_windows: int = 0
    """Windows whose text failed every guard and was left out."""

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments)
