"""What each rule of `plan` does: from a job to steps, a new status and Events. All pure.

Order within a plan matters and is the same everywhere: first the bus, with message ids that make
repeating harmless, then the status. A verdict of ours (cancelled, deadline, attempts used up) is
only announced; the status follows when the event comes back from the stream, in the order in
which everybody else sees it.
"""

from datetime import datetime

from parlance.contracts.bus import messages
from parlance.contracts.bus.messages import ControlAction
from parlance.contracts.crs.meta import (
    FINALIZER,
    TERMINAL_LABEL,
    ConditionType,
    Failure,
    Phase,
    Progress,
    Reason,
)
from parlance.contracts.crs.v1alpha1.calljob import CallJob, CallJobStatus, Dispatch, Result

from . import conditions, outgoing
from .facts import Facts, RunStage, Waiting
from .observed import Observed, find_waiting, has_passed, seconds_until
from .steps import (
    NOTHING,
    ClearNote,
    DropMessage,
    Plan,
    Publish,
    PutNote,
    Record,
    SendDispatch,
    Step,
)

_FOREIGN_REASONS = (
    Reason.DEADLINE_EXCEEDED,
    Reason.BACKOFF_LIMIT_EXCEEDED,
    Reason.COMPANY_NOT_FOUND,
    Reason.ID_TAKEN,
)
"""Failures that the worker does not find: one may still be busy."""

_DELETED = "the CallJob was deleted"

# --- dispatch -----------------------------------------------------------------------------------


def dispatch(job: CallJob, *, now: datetime) -> Plan:
    """First dispatch. `queued` goes first, so that no client sees the work before it."""
    status = _accept(job, job.status, now=now)
    attempt = max(1, status.attempts)
    lane = job.spec.priority_class.value
    return Plan(
        adds_finalizer=_lacks_finalizer(job),
        steps=(
            Publish(outgoing.build_queued(job, attempt=attempt, now=now)),
            SendDispatch(outgoing.build_dispatch(job, attempt=attempt, now=now)),
        ),
        status=_queue(job, status, attempt=attempt, message=f"in lane {lane}", now=now),
        records=(Record("Dispatched", f"accepted and queued in lane {lane}"),),
    )


def dispatch_again(job: CallJob, *, now: datetime) -> Plan:
    """The bus was lost with everything on it: the same attempt once more."""
    attempt = job.status.attempts
    message = "queued again after the bus was lost"
    return Plan(
        adds_finalizer=_lacks_finalizer(job),
        steps=(
            Publish(outgoing.build_queued(job, attempt=attempt, now=now)),
            SendDispatch(outgoing.build_dispatch(job, attempt=attempt, now=now)),
        ),
        status=_queue(job, job.status, attempt=attempt, message=message, now=now),
        records=(Record("Dispatched", message),),
    )


def retry(job: CallJob, facts: Facts, message: str, *, now: datetime) -> Plan:
    """Give the job to another worker, or announce its failure when the attempts are used up."""
    status = job.status
    if status.attempts - status.resumes > job.spec.backoff_limit:
        text = f"{message}; all {status.attempts} attempts are used up"
        return announce_failure(job, facts, Reason.BACKOFF_LIMIT_EXCEEDED, text, now=now)
    attempt = status.attempts + 1
    failure = Failure(
        reason=Reason.WORKER_LOST,
        message=message,
        stage=facts.stage,
        retryable=True,
        attempt=status.attempts,
    )
    return Plan(
        steps=(
            Publish(outgoing.build_retrying(job, Reason.WORKER_LOST, message, now=now)),
            *_drop_message(status),
            SendDispatch(outgoing.build_dispatch(job, attempt=attempt, now=now)),
        ),
        status=_queue(
            job, status, attempt=attempt, message=f"attempt {attempt}: {message}", now=now
        ).model_copy(update={"failure": failure}),
        records=(Record("Retrying", f"attempt {attempt}: {message}", is_warning=True),),
    )


def _accept(job: CallJob, status: CallJobStatus, *, now: datetime) -> CallJobStatus:
    if conditions.is_true(status, ConditionType.ACCEPTED):
        return status
    return _set(
        job, status, ConditionType.ACCEPTED, True, Reason.ACCEPTED, "the job is valid", now=now
    )


def _queue(
    job: CallJob, status: CallJobStatus, *, attempt: int, message: str, now: datetime
) -> CallJobStatus:
    """Waiting in the queue; where the message lies is known after it was sent."""
    status = _set(
        job,
        status,
        ConditionType.DISPATCHED,
        True,
        Reason.WAITING_FOR_CAPACITY,
        f"{message}; no worker has begun yet",
        now=now,
    )
    return status.model_copy(
        update={
            "phase": Phase.QUEUED,
            "attempts": attempt,
            "queued_time": status.queued_time or now,
            "progress": None,
            "dispatch": Dispatch(time=now),
        }
    )


def _drop_message(status: CallJobStatus) -> tuple[Step, ...]:
    if status.dispatch is None or status.dispatch.sequence == 0:
        return ()
    return (DropMessage(status.dispatch.sequence, status.dispatch.stream_created),)


def _stop_work(status: CallJobStatus) -> tuple[Step, ...]:
    """Whoever works on the job stops at the next window, and nobody begins.

    Also of a job that was never dispatched as far as we know: between the dispatch and the status
    that tells of it, the plan may have become another one.
    """
    return (PutNote(ControlAction.CANCEL), *_drop_message(status))


# --- progress -----------------------------------------------------------------------------------


def show_progress(job: CallJob, facts: Facts, observed: Observed) -> Plan | None:
    """Fold what was heard into the status: at once where work begins or stops, else sparingly."""
    if waiting := find_waiting(facts, job.status):
        return _show_waiting(job, waiting, now=observed.now)
    if facts.started_at is None or facts.attempt != job.status.attempts:
        return None
    known = job.status.progress
    progress = _build_progress(known, facts)
    if known is None or job.status.phase != Phase.RUNNING:
        return Plan(status=_start(job, facts, progress, now=observed.now))
    if progress == known.model_copy(update={"last_updated_time": progress.last_updated_time}):
        return NOTHING
    limits = observed.limits
    is_same_stage = progress.stage == known.stage
    wait_seconds = limits.progress_seconds if is_same_stage else limits.stage_seconds
    written_at = known.last_updated_time
    if written_at and not has_passed(written_at, wait_seconds, observed.now):
        return Plan(recheck_seconds=seconds_until(written_at, wait_seconds, observed.now))
    return Plan(status=_observe(job, job.status.model_copy(update={"progress": progress})))


def _show_waiting(job: CallJob, waiting: Waiting, *, now: datetime) -> Plan:
    known = conditions.find_condition(job.status, ConditionType.DISPATCHED)
    if known is not None and (known.reason, known.message) == (waiting.reason, waiting.message):
        return NOTHING
    status = _set(
        job,
        job.status,
        ConditionType.DISPATCHED,
        True,
        waiting.reason,
        waiting.message,
        now=now,
    )
    return Plan(status=status.model_copy(update={"phase": Phase.QUEUED}))


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
    status = _set(
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


# --- the end ------------------------------------------------------------------------------------


def announce_failure(
    job: CallJob, facts: Facts, reason: Reason, message: str, *, now: datetime
) -> Plan:
    event = outgoing.build_failed(job, facts, reason, message, now=now)
    return Plan(steps=(Publish(event),))


def announce_cancel(job: CallJob, message: str, *, now: datetime) -> Plan:
    return Plan(steps=(Publish(outgoing.build_cancelled(job, message, now=now)),))


def complete(job: CallJob, facts: Facts, completed: messages.Completed, *, now: datetime) -> Plan:
    duration_seconds = round(completed.duration_seconds)
    message = f"{completed.segments} segments of {completed.duration_seconds:.1f} s of audio"
    status = _set(job, job.status, ConditionType.COMPLETE, True, Reason.SUCCEEDED, message, now=now)
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
    steps = _drop_message(job.status) if job.status.attempts > 1 else ()
    return Plan(steps=steps, status=status, releases=True, records=(Record("Completed", message),))


def fail(job: CallJob, facts: Facts, failed: messages.Failed, *, now: datetime) -> Plan:
    status = _set(
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
        steps=_stop_work(job.status) if failed.reason in _FOREIGN_REASONS else (),
        status=status,
        releases=True,
        records=(Record("Failed", f"{failed.reason}: {failed.message}", is_warning=True),),
    )


def cancel(job: CallJob, facts: Facts, cancelled: messages.Cancelled, *, now: datetime) -> Plan:
    message = cancelled.message or "cancelled"
    status = _set(job, job.status, ConditionType.FAILED, True, Reason.CANCELLED, message, now=now)
    failure = Failure(
        reason=Reason.CANCELLED, message=message[:1024], stage=facts.stage, attempt=facts.attempt
    )
    status = _end(job, status, facts, Phase.CANCELLED, now=now).model_copy(
        update={"failure": failure}
    )
    return Plan(
        steps=_stop_work(job.status),
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
    return (announcement, *_stop_work(job.status))


# --- suspension ---------------------------------------------------------------------------------


def suspend(job: CallJob, *, now: datetime) -> Plan:
    """Hold a waiting job; a running one drains at the next window and begins anew on resume."""
    was_dispatched = conditions.is_dispatched(job.status)
    message = "suspended; the work stops at the next window" if was_dispatched else "suspended"
    status = _accept(job, job.status, now=now)
    if was_dispatched:
        status = _set(
            job, status, ConditionType.DISPATCHED, False, Reason.SUSPENDED, message, now=now
        )
    status = _set(job, status, ConditionType.SUSPENDED, True, Reason.SUSPENDED, message, now=now)
    return Plan(
        steps=(PutNote(ControlAction.PAUSE), *_drop_message(job.status)),
        status=status.model_copy(
            update={"phase": Phase.SUSPENDED, "start_time": None, "progress": None}
        ),
        records=(Record("Suspended", message),),
    )


def resume(job: CallJob, *, now: datetime) -> Plan:
    """A new attempt, which finds the windows that were published before."""
    attempt = job.status.attempts + 1
    is_first = attempt == 1
    status = _set(
        job, job.status, ConditionType.SUSPENDED, False, Reason.RESUMED, "resumed", now=now
    )
    status = _queue(job, status, attempt=attempt, message="resumed", now=now)
    queued = (Publish(outgoing.build_queued(job, attempt=attempt, now=now)),) if is_first else ()
    return Plan(
        adds_finalizer=_lacks_finalizer(job),
        steps=(
            ClearNote(),
            *queued,
            SendDispatch(outgoing.build_dispatch(job, attempt=attempt, now=now)),
        ),
        status=status.model_copy(update={"resumes": status.resumes + (0 if is_first else 1)}),
        records=(Record("Resumed", f"queued as attempt {attempt}"),),
    )


# --- outage -------------------------------------------------------------------------------------


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
    status = _set(
        job,
        _accept(job, status, now=now),
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


# --- common -------------------------------------------------------------------------------------


def _lacks_finalizer(job: CallJob) -> bool:
    return FINALIZER not in job.metadata.finalizers


def _observe(job: CallJob, status: CallJobStatus) -> CallJobStatus:
    return status.model_copy(update={"observed_generation": job.metadata.generation})


def _set(
    job: CallJob,
    status: CallJobStatus,
    type_: ConditionType,
    value: bool,
    reason: Reason | str,
    message: str,
    *,
    now: datetime,
) -> CallJobStatus:
    changed = conditions.set_condition(
        status, type_, value, reason, message, now=now, generation=job.metadata.generation
    )
    return _observe(job, changed)
