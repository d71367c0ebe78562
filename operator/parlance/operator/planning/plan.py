"""The decision: what to do about a job, given what is known. Called by `reconcile.reconciler`.

The order of the rules is the order of their weight. Each rule is a function that returns a plan,
or None when it does not apply; what a rule does is in `dispatching`, `showing`, `holding` and
`ending`. Order within a plan matters and is the same everywhere: first the bus, with message ids
that make repeating harmless, then the status.
"""

from collections.abc import Callable

from parlance.contracts.bus import calls as call_events
from parlance.contracts.crs.meta import FINALIZER, Reason
from parlance.contracts.crs.v1alpha1.calljob import CallJob

from . import conditions, dispatching, ending, holding, showing
from .facts import Facts
from .observed import (
    Observed,
    find_silent_since,
    has_passed,
    is_in_work,
    seconds_until,
    select_current,
)
from .steps import NOTHING, Plan

_NEEDS_TRUTH = Plan(needs_truth=True)


def plan(job: CallJob, observed: Observed) -> Plan:
    """What to do now."""
    facts = select_current(observed.facts, job.status)
    for rule in _RULES:
        decided = rule(job, facts, observed)
        if decided is not None:
            return decided
    return NOTHING


def _delete(job: CallJob, facts: Facts, observed: Observed) -> Plan | None:
    if job.metadata.deletion_timestamp is None:
        return None
    if FINALIZER not in job.metadata.finalizers:
        return NOTHING
    if conditions.is_terminal(job.status):
        return ending.release(job)
    if observed.bus_created is not None:
        return ending.delete(job, now=observed.now)
    waited_seconds = observed.limits.release_seconds
    if has_passed(job.metadata.deletion_timestamp, waited_seconds, observed.now):
        return ending.delete_unheard(job, now=observed.now)
    left = seconds_until(job.metadata.deletion_timestamp, waited_seconds, observed.now)
    return Plan(recheck_seconds=left)


def _finish(job: CallJob, facts: Facts, observed: Observed) -> Plan | None:
    if not conditions.is_terminal(job.status):
        return None
    if ending.needs_release(job):
        return ending.release(job)
    done_at = job.status.completion_time
    if has_passed(done_at, job.spec.ttl_seconds_after_finished, observed.now):
        return ending.expire(job)
    return NOTHING


def _catch_up(job: CallJob, facts: Facts, observed: Observed) -> Plan | None:
    """A job that an earlier operator dispatched may have ended since; its last events may have
    been delivered to that one and come again only after the ack wait. One look tells."""
    if not observed.is_doubtful or observed.is_truth or not conditions.is_dispatched(job.status):
        return None
    return _NEEDS_TRUTH


def _conclude(job: CallJob, facts: Facts, observed: Observed) -> Plan | None:
    match facts.verdict:
        case call_events.Completed() as completed:
            return ending.complete(job, facts, completed, now=observed.now)
        case call_events.Failed() as failed:
            return ending.fail(job, facts, failed, now=observed.now)
        case call_events.Cancelled() as cancelled:
            return ending.cancel(job, facts, cancelled, now=observed.now)
        case _:
            return None


def _await_recorder(job: CallJob, facts: Facts, observed: Observed) -> Plan | None:
    """The worker has delivered its result: no cancel, suspend or deadline can change the
    outcome any more."""
    if not facts.is_analyzed:
        return None
    if _is_bus_rebuilt(job, observed):
        return None
    return showing.show_progress(job, facts, observed) or NOTHING


def _obey_cancel(job: CallJob, facts: Facts, observed: Observed) -> Plan | None:
    if not job.spec.cancel:
        return None
    if job.status.attempts > 0 and not observed.is_truth:
        return _NEEDS_TRUTH
    return ending.announce_cancel(job, "cancelled by spec.cancel", now=observed.now)


def _obey_suspend(job: CallJob, facts: Facts, observed: Observed) -> Plan | None:
    if not job.spec.suspend:
        return None
    if conditions.is_suspended(job.status):
        return NOTHING
    if conditions.is_dispatched(job.status) and not observed.is_truth:
        return _NEEDS_TRUTH
    return holding.suspend(job, now=observed.now)


def _resume(job: CallJob, facts: Facts, observed: Observed) -> Plan | None:
    if not conditions.is_suspended(job.status):
        return None
    return holding.resume(job, now=observed.now)


def _dispatch(job: CallJob, facts: Facts, observed: Observed) -> Plan | None:
    if conditions.is_dispatched(job.status):
        return None
    return dispatching.dispatch(job, now=observed.now)


def _rebuild(job: CallJob, facts: Facts, observed: Observed) -> Plan | None:
    if not _is_bus_rebuilt(job, observed):
        return None
    return dispatching.dispatch_again(job, now=observed.now)


def _is_bus_rebuilt(job: CallJob, observed: Observed) -> bool:
    """All of NATS was lost since the dispatch: the message is gone, and so are the events."""
    known = job.status.dispatch.stream_created if job.status.dispatch else ""
    return observed.bus_created is not None and known != observed.bus_created


def _enforce_deadline(job: CallJob, facts: Facts, observed: Observed) -> Plan | None:
    started = job.status.start_time or facts.started_at
    if not has_passed(started, job.spec.active_deadline_seconds, observed.now):
        return None
    if not observed.is_truth:
        return _NEEDS_TRUTH
    message = f"did not finish within {job.spec.active_deadline_seconds} s"
    return ending.announce_failure(job, facts, Reason.DEADLINE_EXCEEDED, message, now=observed.now)


def _replace_worker(job: CallJob, facts: Facts, observed: Observed) -> Plan | None:
    limit_seconds = observed.limits.stall_seconds
    if not has_passed(find_silent_since(job, facts, observed), limit_seconds, observed.now):
        return None
    if not observed.is_truth:
        was_checked = facts.checked_at and not has_passed(
            facts.checked_at, limit_seconds, observed.now
        )
        # One look per limit: a job that waits for hours costs nothing in between.
        return None if was_checked else _NEEDS_TRUTH
    if is_in_work(job, facts):
        message = f"the worker was not heard of for {limit_seconds:.0f} s"
    elif observed.is_message_stored is False:
        message = "the message vanished from the queue before a worker began"
    else:
        return None  # waiting for a free worker, however long
    return dispatching.retry(job, facts, message, now=observed.now)


def _show(job: CallJob, facts: Facts, observed: Observed) -> Plan | None:
    return showing.show_progress(job, facts, observed)


Rule = Callable[[CallJob, Facts, Observed], Plan | None]

_RULES: tuple[Rule, ...] = (
    _delete,
    _finish,
    _catch_up,
    _conclude,
    _await_recorder,
    _obey_cancel,
    _obey_suspend,
    _resume,
    _dispatch,
    _rebuild,
    _enforce_deadline,
    _replace_worker,
    _show,
)
