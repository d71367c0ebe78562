"""What the events of a call say, folded in the order of the stream.

The recorder reads the same stream in the same order and decides by the same rules,
`contracts.lifecycle`. So the CallJob ends the way the database says.
"""

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from parlance.contracts import lifecycle
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus import envelopes
from parlance.contracts.bus.calls import EventType
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.lifecycle import Life, Step

OWN_PROGRESS = "operator"
"""First part of the detail in the ids of our own progress events; workers give signs of life by
events of the same type."""

Verdict = call_events.Completed | call_events.Failed | call_events.Cancelled


class RunStage(StrEnum):
    """The step as kubectl shows it."""

    TRANSCRIBE = "Transcribe"
    INSIGHTS = "Insights"
    STORE = "Store"
    DONE = "Done"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why nothing happens: a worker handed the job back to the queue, or holds it and waits."""

    attempt: int
    reason: str
    message: str
    is_held: bool = False
    """A worker has the job and goes on by itself; otherwise it is in the queue again."""
    told_at: datetime | None = dataclasses.field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Facts:
    """The newest attempt that was heard of. All zero before the first event."""

    events: int = 0
    """How many events of workers and recorder were folded: more means somebody is alive."""
    heard_at: datetime | None = None
    """When the last of them reached us, by our own clock."""
    checked_at: datetime | None = None
    """When the stream itself was last read for this call, not only followed."""
    attempt: int = 0
    started_at: datetime | None = None
    worker: str = ""
    stage: RunStage = RunStage.TRANSCRIBE
    percent: int = 0
    processed_seconds: float = 0.0
    total_seconds: float = 0.0
    waiting: Waiting | None = None
    is_analyzed: bool = False
    """The worker has delivered its result; the recorder has not yet said whether it was stored."""
    verdict: Verdict | None = None

    @property
    def life(self) -> Life:
        """What `contracts.lifecycle` decides by."""
        end = None if self.verdict is None else call_events.step_of(self.verdict)
        return Life(self.attempt, is_delivered=self.is_analyzed, end=end)


def fold(facts: Facts, event: Envelope, *, heard_at: datetime) -> Facts:
    """Facts after one more event. Raises pydantic.ValidationError when its data does not fit."""
    try:
        type_ = EventType(event.type)
    except ValueError:
        return facts  # a newer sender's event
    if type_.step is Step.ANNOUNCED:
        return facts
    if type_.step is Step.SIGN:
        return _fold_sign(facts, event, heard_at)
    if type_.step is Step.COMPLETED:
        return _fold_completed(facts, event, heard_at)
    by_recorder = envelopes.is_by_recorder(event)
    if not lifecycle.accepts(facts.life, type_.step, event.attempt, is_by_recorder=by_recorder):
        return facts
    if event.attempt > facts.attempt:
        facts = Facts(events=facts.events, attempt=event.attempt, checked_at=facts.checked_at)
    return _FOLD[type_](_hear(facts, heard_at), event)


def _fold_sign(facts: Facts, event: Envelope, heard_at: datetime) -> Facts:
    """Events that both we and the workers send. A worker's proves that it lives; neither moves the
    attempt, as neither does for the recorder."""
    if event.type == EventType.PROGRESS:
        is_own = f".{EventType.PROGRESS.token}.{OWN_PROGRESS}" in event.id
        return facts if is_own else _fold_worker_sign(_hear(facts, heard_at), event)
    if event.type == EventType.RESET:
        return _hear(facts, heard_at)  # for clients; how far the attempt was never goes back
    retrying = envelopes.parse_data(event, call_events.Retrying)
    if retrying.next_attempt != event.attempt:
        return facts  # our own: workers hand a job back without using up the attempt
    waiting = Waiting(event.attempt, retrying.reason, retrying.message)
    return dataclasses.replace(_hear(facts, heard_at), waiting=waiting)


def _fold_worker_sign(facts: Facts, event: Envelope) -> Facts:
    """What its worker waits for, and that it waits no longer. A job in the queue stays there until
    a worker says more than that it lives."""
    if event.attempt < facts.attempt:
        return facts
    sign = envelopes.parse_data(event, call_events.Progress)
    if sign.waiting_for is not None:
        waiting = Waiting(
            event.attempt,
            sign.waiting_for,
            sign.message or "",
            is_held=True,
            told_at=facts.heard_at,
        )
        return dataclasses.replace(facts, waiting=waiting)
    is_over = facts.waiting is not None and facts.waiting.is_held
    return dataclasses.replace(facts, waiting=None) if is_over else facts


def _hear(facts: Facts, heard_at: datetime) -> Facts:
    return dataclasses.replace(facts, events=facts.events + 1, heard_at=heard_at)


def _fold_started(facts: Facts, event: Envelope) -> Facts:
    started = envelopes.parse_data(event, call_events.Started)
    return dataclasses.replace(
        facts,
        started_at=facts.started_at or facts.heard_at,
        worker=started.worker,
        waiting=None,
        total_seconds=started.duration_seconds,
    )


def _fold_segments(facts: Facts, event: Envelope) -> Facts:
    segments = envelopes.parse_data(event, call_events.SegmentsReady)
    processed_seconds = max(facts.processed_seconds, segments.processed_seconds)
    total_seconds = segments.total_seconds or facts.total_seconds
    percent = call_events.plan_percent(processed_seconds, total_seconds)
    return dataclasses.replace(
        facts,
        started_at=facts.started_at or facts.heard_at,
        waiting=None,
        processed_seconds=processed_seconds,
        total_seconds=total_seconds,
        percent=max(facts.percent, percent),
    )


def _fold_transcribed(facts: Facts, event: Envelope) -> Facts:
    transcribed = envelopes.parse_data(event, call_events.Transcribed)
    return dataclasses.replace(
        facts,
        stage=RunStage.INSIGHTS,
        percent=max(facts.percent, call_events.TRANSCRIBED_PERCENT),
        processed_seconds=transcribed.duration_seconds,
        total_seconds=transcribed.duration_seconds,
    )


def _fold_analyzed(facts: Facts, event: Envelope) -> Facts:
    analyzed = envelopes.parse_data(event, call_events.Analyzed)
    return dataclasses.replace(
        facts,
        stage=RunStage.STORE,
        percent=call_events.ANALYZED_PERCENT,
        processed_seconds=analyzed.duration_seconds,
        total_seconds=analyzed.duration_seconds,
        is_analyzed=True,
    )


def _fold_failed(facts: Facts, event: Envelope) -> Facts:
    return dataclasses.replace(facts, verdict=envelopes.parse_data(event, call_events.Failed))


def _fold_cancelled(facts: Facts, event: Envelope) -> Facts:
    return dataclasses.replace(facts, verdict=envelopes.parse_data(event, call_events.Cancelled))


def _fold_completed(facts: Facts, event: Envelope, heard_at: datetime) -> Facts:
    """The recorder has committed: true whatever else was said, and for whichever attempt."""
    completed = envelopes.parse_data(event, call_events.Completed)
    return dataclasses.replace(
        _hear(facts, heard_at),
        attempt=max(facts.attempt, event.attempt),
        stage=RunStage.DONE,
        percent=100,
        processed_seconds=completed.duration_seconds,
        total_seconds=completed.duration_seconds,
        is_analyzed=True,
        verdict=completed,
    )


_FOLD = {
    EventType.STARTED: _fold_started,
    EventType.SEGMENT: _fold_segments,
    EventType.TRANSCRIBED: _fold_transcribed,
    EventType.ANALYZED: _fold_analyzed,
    EventType.FAILED: _fold_failed,
    EventType.CANCELLED: _fold_cancelled,
}


def renew(known: Facts, read: Facts, *, now: datetime) -> Facts:
    """Facts read anew from the stream, beside what was known from following it.

    Whoever follows may miss events (a restart, a second operator), so more of them than known
    means that the worker is alive. The comparison needs no clock of another machine.
    """
    heard_at = now if read.events > known.events else known.heard_at
    started_at = known.started_at if known.attempt == read.attempt else None
    return dataclasses.replace(
        read, heard_at=heard_at, started_at=started_at or read.started_at, checked_at=now
    )
