"""Names and JSON shapes that the worker and the Triton model agree on.

The model repository cannot import this package (it runs in Triton's own environment), so a
repository test compares these names with `config.pbtxt`.
"""

from pydantic import Field

from .values import Value

MODEL_NAME = "asr_whisper"
AUDIO_INPUT = "AUDIO"
"""int16 PCM, shape (1, samples), mono, 16 kHz."""
OPTIONS_INPUT = "OPTIONS"
"""One JSON string, `AsrOptions`."""
RESULT_OUTPUT = "RESULT"
"""One JSON string, `AsrWindow`."""
SAMPLE_RATE_HZ = 16_000
MAX_WINDOW_SECONDS = 30.0
PRIORITY_LEVELS = {"interactive": 1, "standard": 2, "bulk": 3}


class AsrOptions(Value):
    language: str = "auto"
    timestamps: bool = True
    words: bool = False
    beam: int = Field(default=1, ge=1, le=5)
    sent_unix_seconds: float | None = None
    """When the request left, by the clock both containers of the pod share; gives `queue_us`."""


class AsrSegment(Value):
    """Times are seconds of window time."""

    start_seconds: float
    end_seconds: float
    text: str
    avg_logprob: float | None = None


class AsrWindow(Value):
    """Result of one window."""

    text: str
    segments: tuple[AsrSegment, ...] = ()
    avg_logprob: float | None = None
    no_speech_prob: float | None = None
    compression_ratio: float | None = None
    temperature: float = 0.0
    language: str = ""
    language_confidence: float | None = None
    guard: str = "ok"
    """`ok`, `retried` or `dropped`."""
    guard_reason: str = ""
    queue_us: int = 0
    compute_us: int = 0
    batch: int = 1
    model: str = ""
    model_hash: str = ""
