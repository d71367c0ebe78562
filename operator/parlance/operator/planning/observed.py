"""What a decision rests on besides the object itself."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from parlance.contracts.crs.v1alpha1.calljob import CallJob, CallJobStatus

from .facts import Facts, Waiting


@dataclass(frozen=True, slots=True)
class Limits:
    """Times of the rules, in seconds; `settings.OperatorSettings` gives the reasons."""

    stall_seconds: float = 90.0
    progress_seconds: float = 15.0
    stage_seconds: float = 2.0
    release_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class Observed:
    """The world around one job at one moment."""

    now: datetime
    facts: Facts = field(default_factory=Facts)
    bus_created: str | None = None
    """Creation time of the stream JOBS; None while the bus is away."""
    bus_back_at: datetime | None = None
    """Since when the bus answers: silence of a worker before that says nothing of the worker."""
    is_doubtful: bool = False
    """Somebody before us had the job in hand: its events may be elsewhere, so read them once."""
    is_truth: bool = False
    """`facts` were just read from the stream itself."""
    is_message_stored: bool | None = None
    """Whether the job's message is still in JOBS; known with the truth only."""
    limits: Limits = field(default_factory=Limits)


def select_current(facts: Facts, status: CallJobStatus) -> Facts:
    """The facts that count for the job as it is now.

    While workers were only heard of in an older attempt, their progress means nothing any more,
    but an end that they reached after all does.
    """
    if facts.attempt >= status.attempts or facts.is_analyzed or facts.verdict is not None:
        return facts
    return Facts(
        events=facts.events,
        checked_at=facts.checked_at,
        attempt=status.attempts,
        waiting=facts.waiting,
    )


def find_waiting(facts: Facts, status: CallJobStatus) -> Waiting | None:
    """Why nothing happens with the current attempt, as its worker told."""
    is_current = facts.waiting is not None and facts.waiting.attempt == status.attempts
    return facts.waiting if is_current else None


def is_in_work(job: CallJob, facts: Facts) -> bool:
    """Whether a worker has begun with the current attempt and has not handed it back."""
    waiting = find_waiting(facts, job.status)
    if waiting is not None and not waiting.is_held:
        return False
    return facts.started_at is not None or job.status.progress is not None


def find_silent_since(job: CallJob, facts: Facts, observed: Observed) -> datetime | None:
    """Since when the current attempt could have given a sign of life and has not: a worker's last
    one, its dispatch, or the end of an outage."""
    status = job.status
    times = [
        facts.heard_at,
        status.dispatch and status.dispatch.time,
        status.progress and status.progress.last_updated_time,
        observed.bus_back_at,
    ]
    return max((time for time in times if time), default=None)


def has_passed(since: datetime | None, seconds: float, now: datetime) -> bool:
    return since is not None and now - since >= timedelta(seconds=seconds)


def seconds_until(since: datetime, seconds: float, now: datetime) -> float:
    return max(0.0, (since + timedelta(seconds=seconds) - now).total_seconds())
