"""What people see while a job runs or waits: its progress, and why nothing happens. Pure."""

from datetime import datetime
from typing import Any

from parlance.contracts.crs.meta import ConditionType, Phase, Progress, Reason
from parlance.contracts.crs.v1alpha1.calljob import CallJob, CallJobStatus, Dispatch

from . import conditions, statuses
from .facts import Facts, Waiting
from .observed import Observed, find_waiting, has_passed, seconds_until
from .steps import NOTHING, Plan, Record


def show_progress(job: CallJob, facts: Facts, observed: Observed) -> Plan | None:
    """Fold what was heard into the status: at once where work begins or stops, else sparingly."""
    if waiting := find_waiting(facts, job.status):
        return _show_waiting(job, _forget_lost_worker(waiting, observed), now=observed.now)
    if facts.started_at is None or facts.attempt != job.status.attempts:
        return None
    known = job.status.progress
    progress = _build_progress(known, facts)
    if known is None or not _is_shown_running(job.status):
        return Plan(status=_start(job, facts, progress, now=observed.now))
    if progress == known.model_copy(update={"last_updated_time": progress.last_updated_time}):
        return NOTHING
    limits = observed.limits
    is_same_stage = progress.stage == known.stage
    wait_seconds = limits.progress_seconds if is_same_stage else limits.stage_seconds
    written_at = known.last_updated_time
    if written_at and not has_passed(written_at, wait_seconds, observed.now):
        return Plan(recheck_seconds=seconds_until(written_at, wait_seconds, observed.now))
    return Plan(
        status=statuses.mark_observed(job, job.status.model_copy(update={"progress": progress}))
    )


def _forget_lost_worker(waiting: Waiting, observed: Observed) -> Waiting:
    """A worker that waits says so again and again. One that had not begun is not replaced: the bus
    gives its message to the next one that is free."""
    limit_seconds = observed.limits.stall_seconds
    if not waiting.is_held or not has_passed(waiting.told_at, limit_seconds, observed.now):
        return waiting
    message = "its worker fell silent; no other one has begun yet"
    return Waiting(waiting.attempt, Reason.WAITING_FOR_CAPACITY, message)


def _show_waiting(job: CallJob, waiting: Waiting, *, now: datetime) -> Plan:
    known = conditions.find_condition(job.status, ConditionType.DISPATCHED)
    if known is not None and (known.reason, known.message) == (waiting.reason, waiting.message):
        return NOTHING
    status = statuses.set_condition(
        job,
        job.status,
        ConditionType.DISPATCHED,
        True,
        waiting.reason,
        waiting.message,
        now=now,
    )
    return Plan(status=status.model_copy(update=_plan_phase(status, waiting, now=now)))


def _plan_phase(status: CallJobStatus, waiting: Waiting, *, now: datetime) -> dict[str, Any]:
    """A worker that waits for what is away may have begun or not; one that fetches the audio has,
    and the deadline counts from then."""
    if not waiting.is_held:
        return {"phase": Phase.QUEUED}
    if waiting.reason == Reason.FETCHING_AUDIO:
        return {"phase": Phase.RUNNING, "start_time": status.start_time or now}
    return {}


def _is_shown_running(status: CallJobStatus) -> bool:
    shown = conditions.find_condition(status, ConditionType.DISPATCHED)
    is_running = shown is not None and shown.reason == Reason.RUNNING
    return status.phase == Phase.RUNNING and is_running


def _build_progress(known: Progress | None, facts: Facts) -> Progress:
    return Progress(
        percent=max(facts.percent, known.percent if known else 0),
        stage=facts.stage,
        processed_seconds=int(facts.processed_seconds),
        total_seconds=round(facts.total_seconds),
        last_updated_time=facts.heard_at,
    )


def _start(job: CallJob, facts: Facts, progress: Progress, *, now: datetime) -> CallJobStatus:
    dispatched = job.status.dispatch or Dispatch()
    status = statuses.set_condition(
        job,
        job.status,
        ConditionType.DISPATCHED,
        True,
        Reason.RUNNING,
        f"worker {facts.worker} is on it" if facts.worker else "a worker is on it",
        now=now,
    )
    return status.model_copy(
        update={
            "phase": Phase.RUNNING,
            "start_time": status.start_time or facts.started_at,
            "progress": progress,
            "dispatch": dispatched.model_copy(update={"worker": facts.worker}),
        }
    )


def explain_outage(job: CallJob, *, now: datetime) -> Plan:
    """Say once why nothing happens while the bus is away."""
    status = job.status
    if conditions.is_terminal(status) or job.metadata.deletion_timestamp is not None:
        return NOTHING
    is_waiting = not conditions.is_dispatched(status) and not conditions.is_suspended(status)
    if not is_waiting and not job.spec.cancel:
        return NOTHING
    known = conditions.find_condition(status, ConditionType.DISPATCHED)
    if known is not None and known.reason == Reason.BUS_UNAVAILABLE:
        return NOTHING
    status = statuses.set_condition(
        job,
        statuses.accept(job, status, now=now),
        ConditionType.DISPATCHED,
        not is_waiting,
        Reason.BUS_UNAVAILABLE,
        "NATS does not answer; it is tried again and again",
        now=now,
    )
    phase = Phase.CANCELLING if job.spec.cancel else Phase.PENDING
    return Plan(
        status=status.model_copy(update={"phase": phase}),
        records=(Record("Accepted", "waiting for the bus", is_warning=True),)
        if known is None
        else (),
    )
