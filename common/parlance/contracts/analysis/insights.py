"""What analysers say about a call or a ticket: the artefact `insights.json`.

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


class SideMetrics(Value):
    """How one side of a written conversation writes and answers."""

    role: Role
    messages: int
    words: int
    questions: int
    """Sentences that ask."""
    responses: int
    """Turns of this side that answer the other one, with both times known."""
    response_seconds_median: float | None
    """From the first unanswered message of the other side to the answer; None without any."""
    response_seconds_longest: float | None


class Wait(Value):
    """A stretch in which somebody waited for an answer."""

    role: Role
    """Who waited."""
    from_id: str
    """Id of the first unanswered message."""
    to_id: str | None
    """Id of the answer; None: there is none."""
    seconds: float
    """Until the answer, or until the last message where there is none."""


class Reopening(Value):
    """Somebody went on after it was said that all is resolved."""

    resolved_id: str
    """Id of the message that says so."""
    reopened_id: str
    """Id of the first message of the customer after it."""


class ConversationMetrics(Value):
    """Metrics of a written conversation, from the times of its messages."""

    messages: int
    questions: int
    duration_seconds: float | None
    """From the first to the last message; None where times are not known."""
    first_response_seconds: float | None
    """From the customer's first message to the first answer of an agent."""
    longest_wait: Wait | None
    reopenings: tuple[Reopening, ...]
    sides: tuple[SideMetrics, ...]
    """One per role that wrote anything, in order of appearance."""


class DetectedLanguage(Value):
    """What the text is written in."""

    code: str
    """BCP-47 tag; empty when the text does not tell."""
    confidence: float | None = None
    """In [0, 1]; None where the sender named the language."""


class PiiSpan(Value):
    """A stretch that tells who somebody is. Never repeats the words."""

    type: str
    """`email`, `phone`, `card`, `iban`, `ip_address` or `date_of_birth`."""
    segment_id: str
    begin: int
    """Characters of the segment's or message's text."""
    end: int


class PiiFindings(Value):
    """What was found by rules."""

    counts: dict[str, int]
    """By type."""
    spans: tuple[PiiSpan, ...]
    """In order; the first 1,000 of them."""


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
    NEEDS_TEXT = "needs_text"
    """It measures written messages, and the document was spoken."""
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

    call_id: str | None = None
    """Of the call that it is about; a ticket has `ticket_id` instead."""
    ticket_id: str | None = None
    attempt: int
    profile: str = "lexical"
    metrics: CallMetrics | None = None
    sentiment: CallSentiment | None = None
    segment_sentiments: dict[str, Sentiment] = Field(default_factory=dict)
    """Keyed by the id of the segment or message."""
    keywords: tuple[Keyword, ...] = ()
    summary: Summary | None = None
    trackers: tuple[TrackerResult, ...] = ()
    conversation: ConversationMetrics | None = None
    """Only of text."""
    language: DetectedLanguage | None = None
    pii: PiiFindings | None = None
    redacted_texts: dict[str, str] = Field(default_factory=dict)
    """Only where redaction was asked for: the text of each segment or message that holds personal
    data, by its id, with a tag such as `[EMAIL]` in place of each."""
    analyzers: tuple[AnalyzerRun, ...] = ()
    extra: dict[str, JsonValue] = Field(default_factory=dict)
