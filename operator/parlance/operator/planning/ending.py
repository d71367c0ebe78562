"""How a job ends, and what becomes of it then. Pure.

A verdict of ours (cancelled, deadline, attempts used up) is only announced; the status follows when
the event comes back from the stream, in the order in which everybody else sees it.
"""

from datetime import datetime

from parlance.contracts.bus import calls as call_events
from parlance.contracts.crs.meta import (
    FINALIZER,
    TERMINAL_LABEL,
    ConditionType,
    Failure,
    Phase,
    Progress,
    Reason,
)
from parlance.contracts.crs.v1alpha1.calljob import CallJob, CallJobStatus, Result

from . import outgoing, statuses
from .facts import Facts, RunStage
from .steps import Plan, Publish, Record, Step

_FOREIGN_REASONS = (
    Reason.DEADLINE_EXCEEDED,
    Reason.BACKOFF_LIMIT_EXCEEDED,
    Reason.COMPANY_NOT_FOUND,
    Reason.ID_TAKEN,
)
"""Failures that the worker does not find: one may still be busy."""

_DELETED = "the CallJob was deleted"


def announce_failure(
    job: CallJob, facts: Facts, reason: Reason, message: str, *, now: datetime
) -> Plan:
    event = outgoing.build_failed(job, facts, reason, message, now=now)
    return Plan(steps=(Publish(event),))


def announce_cancel(job: CallJob, message: str, *, now: datetime) -> Plan:
    return Plan(steps=(Publish(outgoing.build_cancelled(job, message, now=now)),))


def complete(
    job: CallJob, facts: Facts, completed: call_events.Completed, *, now: datetime
) -> Plan:
    duration_seconds = round(completed.duration_seconds)
    message = f"{completed.segments} segments of {completed.duration_seconds:.1f} s of audio"
    status = statuses.set_condition(
        job, job.status, ConditionType.COMPLETE, True, Reason.SUCCEEDED, message, now=now
    )
    status = _end(job, status, facts, Phase.SUCCEEDED, now=now).model_copy(
        update={
            "progress": Progress(
                percent=100,
                stage=RunStage.DONE,
                processed_seconds=duration_seconds,
                total_seconds=duration_seconds,
                last_updated_time=facts.heard_at or now,
            ),
            "result": Result(
                object_key=completed.transcript_key,
                sha256=completed.transcript_sha256,
                segments=completed.segments,
                duration_seconds=duration_seconds,
            ),
        }
    )
    # A later attempt may still wait when a worker given up for lost has made it after all.
    steps = statuses.drop_message(job.status) if job.status.attempts > 1 else ()
    return Plan(steps=steps, status=status, releases=True, records=(Record("Completed", message),))


def fail(job: CallJob, facts: Facts, failed: call_events.Failed, *, now: datetime) -> Plan:
    status = statuses.set_condition(
        job, job.status, ConditionType.FAILED, True, failed.reason, failed.message, now=now
    )
    failure = Failure(
        reason=failed.reason[:64],
        message=failed.message[:1024],
        stage=failed.stage.value.capitalize(),
        retryable=failed.retryable,
        attempt=facts.attempt,
    )
    status = _end(job, status, facts, Phase.FAILED, now=now).model_copy(update={"failure": failure})
    return Plan(
        steps=statuses.stop_work(job.status) if failed.reason in _FOREIGN_REASONS else (),
        status=status,
        releases=True,
        records=(Record("Failed", f"{failed.reason}: {failed.message}", is_warning=True),),
    )


def cancel(job: CallJob, facts: Facts, cancelled: call_events.Cancelled, *, now: datetime) -> Plan:
    message = cancelled.message or "cancelled"
    status = statuses.set_condition(
        job, job.status, ConditionType.FAILED, True, Reason.CANCELLED, message, now=now
    )
    failure = Failure(
        reason=Reason.CANCELLED, message=message[:1024], stage=facts.stage, attempt=facts.attempt
    )
    status = _end(job, status, facts, Phase.CANCELLED, now=now).model_copy(
        update={"failure": failure}
    )
    return Plan(
        steps=statuses.stop_work(job.status),
        status=status,
        releases=True,
        records=(Record("Cancelled", message),),
    )


def _end(
    job: CallJob, status: CallJobStatus, facts: Facts, phase: Phase, *, now: datetime
) -> CallJobStatus:
    return status.model_copy(
        update={
            "phase": phase,
            "start_time": status.start_time or facts.started_at,
            "completion_time": now,
        }
    )


# --- afterwards ---------------------------------------------------------------------------------


def needs_release(job: CallJob) -> bool:
    return FINALIZER in job.metadata.finalizers or TERMINAL_LABEL not in job.metadata.labels


def release(job: CallJob) -> Plan:
    return Plan(releases=True)


def expire(job: CallJob) -> Plan:
    message = f"finished {job.spec.ttl_seconds_after_finished} s ago; the result stays in the API"
    return Plan(removes=True, records=(Record("Expired", message),))


# --- deletion -----------------------------------------------------------------------------------


def delete(job: CallJob, *, now: datetime) -> Plan:
    """Deleting a job that is not finished cancels it; nobody waits for the worker."""
    record = Record("Cancelled", _DELETED)
    return Plan(steps=_call_off(job, now=now), releases=True, records=(record,))


def delete_unheard(job: CallJob, *, now: datetime) -> Plan:
    """The bus is away and the patience of whoever deletes has an end."""
    message = f"{_DELETED} while the bus was away: a worker is told as soon as it is back"
    return Plan(
        releases=True,
        deferred=_call_off(job, now=now),
        records=(Record("Cancelled", message, is_warning=True),),
    )


def _call_off(job: CallJob, *, now: datetime) -> tuple[Step, ...]:
    announcement = Publish(outgoing.build_cancelled(job, _DELETED, now=now))
    return (announcement, *statuses.stop_work(job.status))
