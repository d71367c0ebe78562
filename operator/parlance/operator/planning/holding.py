"""Holding a job back and letting it go on: `spec.suspend`. Pure."""

from datetime import datetime

from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.crs.meta import ConditionType, Phase, Reason
from parlance.contracts.crs.v1alpha1.calljob import CallJob

from . import conditions, outgoing, statuses
from .steps import ClearNote, Plan, Publish, PutNote, Record, SendDispatch


def suspend(job: CallJob, *, now: datetime) -> Plan:
    """Hold a waiting job; a running one drains at the next window and begins anew on resume."""
    was_dispatched = conditions.is_dispatched(job.status)
    message = "suspended; the work stops at the next window" if was_dispatched else "suspended"
    status = statuses.accept(job, job.status, now=now)
    if was_dispatched:
        status = statuses.set_condition(
            job, status, ConditionType.DISPATCHED, False, Reason.SUSPENDED, message, now=now
        )
    status = statuses.set_condition(
        job, status, ConditionType.SUSPENDED, True, Reason.SUSPENDED, message, now=now
    )
    # No note for a job that waits for its first dispatch: if `spec.suspend` is unset before
    # this plan is carried out, the dispatch that follows would find a note that nothing clears.
    note = (PutNote(ControlAction.PAUSE),) if was_dispatched else ()
    return Plan(
        steps=(*note, *statuses.drop_message(job.status)),
        status=status.model_copy(
            update={"phase": Phase.SUSPENDED, "start_time": None, "progress": None}
        ),
        records=(Record("Suspended", message),),
    )


def resume(job: CallJob, *, now: datetime) -> Plan:
    """A new attempt, which finds the windows that were published before."""
    attempt = job.status.attempts + 1
    is_first = attempt == 1
    status = statuses.set_condition(
        job, job.status, ConditionType.SUSPENDED, False, Reason.RESUMED, "resumed", now=now
    )
    status = statuses.queue(job, status, attempt=attempt, message="resumed", now=now)
    queued = Publish(outgoing.build_queued(job, attempt=attempt, now=now))
    return Plan(
        adds_finalizer=statuses.lacks_finalizer(job),
        steps=(
            queued if is_first else ClearNote(),
            SendDispatch(outgoing.build_dispatch(job, attempt=attempt, now=now)),
        ),
        status=status.model_copy(update={"resumes": status.resumes + (0 if is_first else 1)}),
        records=(Record("Resumed", f"queued as attempt {attempt}"),),
    )
