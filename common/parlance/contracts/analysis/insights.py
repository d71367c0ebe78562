"""What analysers say about a call: the artefact `insights.json`.

Every metric's formula is in docs/reference/insights.md; every hit carries the span it rests on.
Written by the worker's analysers, stored by the recorder, served by the API.
"""

from enum import StrEnum

from parlance.contracts.calls import Role, Sentiment
from parlance.contracts.values import Value
from pydantic import Field, JsonValue


class Span(Value):
    """Evidence: where in the call, and in which segment."""

    start_seconds: float
    end_seconds: float
    segment_id: str | None = None
    text: str | None = None


class SpeakerMetrics(Value):
    """Metrics of one speaker."""

    speaker: str
    role: Role
    talk_seconds: float
    talk_ratio: float
    """Share of all talk time, in [0, 1]."""
    listen_seconds: float
    words: int
    words_per_minute: float | None
    """None below 5 s of talk: the figure would be noise."""
    longest_monologue_seconds: float
    turns: int
    questions: int
    interruptions: int
    """Times this speaker cut in on another."""
    response_latency_seconds: float | None
    """Median gap between the other's turn end and this speaker's start."""


class Interruption(Value):
    by: str
    of: str
    start_seconds: float


class CallMetrics(Value):
    """Metrics of the conversation, from voice activity."""

    duration_seconds: float
    talk_seconds: float
    silence_seconds: float
    silence_ratio: float
    overlap_seconds: float
    silences: tuple[Span, ...]
    """Silences of 3 s and more."""
    interruptions: tuple[Interruption, ...]
    turns_per_minute: float | None
    speakers: tuple[SpeakerMetrics, ...]


class SpeakerSentiment(Value):
    speaker: str
    overall: Sentiment
    quarters: tuple[Sentiment | None, ...]
    """One per quarter of the call; None where the speaker said nothing."""
    trend: str
    """`improving`, `stable` or `deteriorating`: last third against first third."""


class CallSentiment(Value):
    overall: Sentiment
    quarters: tuple[Sentiment | None, ...]
    trend: str
    speakers: tuple[SpeakerSentiment, ...]


class Keyword(Value):
    text: str
    score: float
    count: int
    spans: tuple[Span, ...] = ()


class SummarySentence(Value):
    text: str
    speaker: str
    score: float
    span: Span


class Summary(Value):
    """Extractive: sentences of the call, in call order."""

    text: str
    sentences: tuple[SummarySentence, ...]


class TrackerHit(Value):
    phrase: str
    speaker: str
    span: Span


class TrackerResult(Value):
    name: str
    matched: bool
    """For a negated tracker: the phrase was not said."""
    hits: tuple[TrackerHit, ...]
    """In call order; the first 200 of them."""
    count: int = 0
    """All hits, also those beyond the list."""
    undecided: bool = False
    """The rule asks for a role and no speaker's role is known: neither matched nor missed."""


class TrackerRule(Value):
    """A company-defined phrase rule."""

    name: str = Field(max_length=64)
    phrases: tuple[str, ...] = Field(max_length=50)
    """Words in order, whatever their case and punctuation; `cancel*` stands for every ending."""
    role: Role | None = None
    first_seconds: float | None = None
    """Only within the first N seconds. With `last_seconds`: in either of the two."""
    last_seconds: float | None = None
    """Only within the last N seconds."""
    negated: bool = False
    """Matches when the phrase was not said."""


class TrackerRules(Value):
    """All rules of a company: an object in the store, written when they change."""

    rules: tuple[TrackerRule, ...] = ()


class AnalyzerError(StrEnum):
    """Why an analyser gave no result."""

    UNSUPPORTED_LANGUAGE = "unsupported_language"
    NEEDS_VOICE = "needs_voice"
    """It measures speech, and the document is text."""
    RULES_UNREADABLE = "rules_unreadable"
    """The company's tracker rules could not be read from the store."""
    DEPENDENCY_FAILED = "dependency_failed"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    CRASHED = "crashed"
    """The process died under it."""
    INTERNAL = "internal"


class AnalyzerRun(Value):
    """How one analyser fared; a failure is its own, not the call's."""

    name: str
    version: str
    config: str = ""
    """Hash of its options, tracker rules included; "" without any. Name, version and this are the
    key of its result."""
    ok: bool
    seconds: float
    error_code: str | None = None
    """An `AnalyzerError`; a plain string so that a newer worker never breaks an older reader."""
    error: str | None = None
    """A sentence for people; never words of the call."""


class Insights(Value):
    """The artefact `insights.json`. A part is None when its analyser failed or did not apply."""

    call_id: str
    attempt: int
    profile: str = "lexical"
    metrics: CallMetrics | None = None
    sentiment: CallSentiment | None = None
    segment_sentiments: dict[str, Sentiment] = Field(default_factory=dict)
    """Keyed by segment id."""
    keywords: tuple[Keyword, ...] = ()
    summary: Summary | None = None
    trackers: tuple[TrackerResult, ...] = ()
    analyzers: tuple[AnalyzerRun, ...] = ()
    extra: dict[str, JsonValue] = Field(default_factory=dict)
