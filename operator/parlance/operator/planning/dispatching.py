"""Giving a job to the workers: first, again after the bus was lost, to another one. Pure."""

from datetime import datetime

from parlance.contracts.crs.meta import Failure, Reason
from parlance.contracts.crs.v1alpha1.calljob import CallJob

from . import ending, outgoing, statuses
from .facts import Facts
from .steps import Plan, Publish, Record, SendDispatch


def dispatch(job: CallJob, *, now: datetime) -> Plan:
    """First dispatch. `queued` goes first, so that no client sees the work before it."""
    status = statuses.accept(job, job.status, now=now)
    attempt = max(1, status.attempts)
    lane = job.spec.priority_class.value
    return Plan(
        adds_finalizer=statuses.lacks_finalizer(job),
        steps=(
            Publish(outgoing.build_queued(job, attempt=attempt, now=now)),
            SendDispatch(outgoing.build_dispatch(job, attempt=attempt, now=now)),
        ),
        status=statuses.queue(job, status, attempt=attempt, message=f"in lane {lane}", now=now),
        records=(Record("Dispatched", f"accepted and queued in lane {lane}"),),
    )


def dispatch_again(job: CallJob, *, now: datetime) -> Plan:
    """The bus was lost with everything on it: the same attempt once more."""
    attempt = job.status.attempts
    message = "queued again after the bus was lost"
    return Plan(
        adds_finalizer=statuses.lacks_finalizer(job),
        steps=(
            Publish(outgoing.build_queued(job, attempt=attempt, now=now)),
            SendDispatch(outgoing.build_dispatch(job, attempt=attempt, now=now)),
        ),
        status=statuses.queue(job, job.status, attempt=attempt, message=message, now=now),
        records=(Record("Dispatched", message),),
    )


def retry(job: CallJob, facts: Facts, message: str, *, now: datetime) -> Plan:
    """Give the job to another worker, or announce its failure when the attempts are used up."""
    status = job.status
    if status.attempts - status.resumes > job.spec.backoff_limit:
        text = f"{message}; all {status.attempts} attempts are used up"
        return ending.announce_failure(job, facts, Reason.BACKOFF_LIMIT_EXCEEDED, text, now=now)
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
            *statuses.drop_message(status),
            SendDispatch(outgoing.build_dispatch(job, attempt=attempt, now=now)),
        ),
        status=statuses.queue(
            job, status, attempt=attempt, message=f"attempt {attempt}: {message}", now=now
        ).model_copy(update={"failure": failure}),
        records=(Record("Retrying", f"attempt {attempt}: {message}", is_warning=True),),
    )
