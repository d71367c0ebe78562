"""What the rules' plans have in common: how a status changes, and how work is stopped. Pure."""

from datetime import datetime

from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.crs.meta import FINALIZER, ConditionType, Phase, Reason
from parlance.contracts.crs.v1alpha1.calljob import CallJob, CallJobStatus, Dispatch

from . import conditions
from .steps import DropMessage, PutNote, Step


def accept(job: CallJob, status: CallJobStatus, *, now: datetime) -> CallJobStatus:
    if conditions.is_true(status, ConditionType.ACCEPTED):
        return status
    return set_condition(
        job, status, ConditionType.ACCEPTED, True, Reason.ACCEPTED, "the job is valid", now=now
    )


def queue(
    job: CallJob, status: CallJobStatus, *, attempt: int, message: str, now: datetime
) -> CallJobStatus:
    """Waiting in the queue; where the message lies is known after it was sent."""
    status = set_condition(
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


def set_condition(
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
    return mark_observed(job, changed)


def mark_observed(job: CallJob, status: CallJobStatus) -> CallJobStatus:
    return status.model_copy(update={"observed_generation": job.metadata.generation})


def lacks_finalizer(job: CallJob) -> bool:
    return FINALIZER not in job.metadata.finalizers


def drop_message(status: CallJobStatus) -> tuple[Step, ...]:
    if status.dispatch is None or status.dispatch.sequence == 0:
        return ()
    return (DropMessage(status.dispatch.sequence, status.dispatch.stream_created),)


def stop_work(status: CallJobStatus) -> tuple[Step, ...]:
    """Whoever works on the job stops at the next window, and nobody begins.

    Also of a job that was never dispatched as far as we know: between the dispatch and the status
    that tells of it, the plan may have become another one.
    """
    return (PutNote(ControlAction.CANCEL), *drop_message(status))
