"""Decisions about giving a job to the workers, compared as whole values."""

import dataclasses

import pytest
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus import envelopes
from parlance.contracts.crs.meta import (
    ConditionType,
    Failure,
    Phase,
    Reason,
)
from parlance.contracts.crs.v1alpha1.calljob import CallJobStatus, Dispatch
from parlance.operator.planning import outgoing
from parlance.operator.planning.facts import Facts, RunStage
from parlance.operator.planning.plan import plan
from parlance.operator.planning.steps import (
    NOTHING,
    DropMessage,
    Plan,
    Publish,
    Record,
    SendDispatch,
)

from tests.unit.operators.builders import (
    ACCEPTED,
    BUS,
    COMPLETED,
    LOOK_FIRST,
    T0,
    at,
    condition,
    job,
    observed,
    queued_status,
    running_facts,
    running_status,
)

# --- dispatch -------------------------------------------------------------------------------------


def test_new_job_is_announced_dispatched_and_only_then_says_so() -> None:
    new = job()

    assert plan(new, observed()) == Plan(
        steps=(
            Publish(outgoing.build_queued(new, attempt=1, now=T0)),
            SendDispatch(outgoing.build_dispatch(new, attempt=1, now=T0)),
        ),
        # Where the message lies is filled in when it was sent.
        status=queued_status(dispatch=Dispatch(time=T0)),
        records=(Record("Dispatched", "accepted and queued in lane Standard"),),
    )


def test_job_applied_by_hand_gets_the_finalizer_first() -> None:
    assert plan(job(finalizers=()), observed()).adds_finalizer


def test_dispatched_job_waits_without_cost() -> None:
    assert plan(job(queued_status()), observed(80)) == NOTHING


def test_rebuilt_bus_gets_the_same_attempt_again() -> None:
    running = job(running_status())
    message = "queued again after the bus was lost"
    waiting = condition(
        ConditionType.DISPATCHED,
        "True",
        Reason.WAITING_FOR_CAPACITY,
        f"{message}; no worker has begun yet",
    )

    assert plan(running, observed(5, running_facts(), bus_created="another")) == Plan(
        steps=(
            Publish(outgoing.build_queued(running, attempt=1, now=at(5))),
            SendDispatch(outgoing.build_dispatch(running, attempt=1, now=at(5))),
        ),
        status=running_status(
            conditions=(ACCEPTED, waiting),
            phase=Phase.QUEUED,
            progress=None,
            dispatch=Dispatch(time=at(5)),
        ),
        records=(Record("Dispatched", message),),
    )


def test_rebuilt_bus_has_lost_the_analysis_too() -> None:
    facts = running_facts(is_analyzed=True, stage=RunStage.STORE)
    planned = plan(job(running_status()), observed(5, facts, bus_created="another"))

    assert planned.status is not None
    assert planned.status.phase == Phase.QUEUED


def test_job_of_an_earlier_operator_is_looked_at_once() -> None:
    assert plan(job(queued_status()), observed(5, is_doubtful=True)) == LOOK_FIRST
    assert plan(job(queued_status()), observed(5, is_doubtful=True, is_truth=True)) == NOTHING


@pytest.mark.parametrize(
    ("status", "seconds_left"),
    [
        (queued_status(), 3600.0),
        (running_status(), 3600.0 - 99),
        (running_status(start_time=at(-7200)), 1.0),
    ],
)
def test_a_worker_is_told_how_much_time_the_job_has_left(
    status: CallJobStatus, seconds_left: float
) -> None:
    dispatch = outgoing.build_dispatch(job(status), attempt=2, now=at(100))

    assert dispatch.seconds_left == seconds_left


# --- deadline and stall ---------------------------------------------------------------------------


def test_deadline_counts_from_the_start_and_looks_first() -> None:
    late = job(running_status(), active_deadline_seconds=10)
    facts = running_facts(heard_at=at(10))
    event = outgoing.build_failed(
        late, facts, Reason.DEADLINE_EXCEEDED, "did not finish within 10 s", now=at(11)
    )

    assert plan(late, observed(10.9, facts)) == NOTHING
    assert plan(late, observed(11, facts)) == LOOK_FIRST
    assert plan(late, observed(11, facts, is_truth=True)) == Plan(steps=(Publish(event),))


def test_waiting_job_has_no_deadline() -> None:
    assert plan(job(queued_status(), active_deadline_seconds=10), observed(80)) == NOTHING


def test_silent_worker_is_replaced() -> None:
    silent = job(running_status())
    message = "the worker was not heard of for 90 s"
    again = condition(
        ConditionType.DISPATCHED,
        "True",
        Reason.WAITING_FOR_CAPACITY,
        f"attempt 2: {message}; no worker has begun yet",
    )
    world = observed(91, running_facts(), is_truth=True, is_message_stored=True)

    assert plan(silent, dataclasses.replace(world, is_truth=False)) == LOOK_FIRST
    assert plan(silent, world) == Plan(
        steps=(
            Publish(outgoing.build_retrying(silent, Reason.WORKER_LOST, message, now=at(91))),
            DropMessage(5, BUS),
            SendDispatch(outgoing.build_dispatch(silent, attempt=2, now=at(91))),
        ),
        status=running_status(
            conditions=(ACCEPTED, again),
            phase=Phase.QUEUED,
            attempts=2,
            progress=None,
            dispatch=Dispatch(time=at(91)),
            failure=Failure(
                reason=Reason.WORKER_LOST,
                message=message,
                stage="Transcribe",
                retryable=True,
                attempt=1,
            ),
        ),
        records=(Record("Retrying", f"attempt 2: {message}", is_warning=True),),
    )


def test_silence_during_an_outage_is_not_held_against_the_worker() -> None:
    facts = running_facts()
    back = observed(300, facts, is_truth=True, is_message_stored=True, bus_back_at=at(295))

    assert plan(job(running_status()), back) == NOTHING
    later = dataclasses.replace(back, now=at(386))
    assert plan(job(running_status()), later).records == (
        Record("Retrying", "attempt 2: the worker was not heard of for 90 s", is_warning=True),
    )


def test_job_that_waits_for_hours_is_left_where_it_is() -> None:
    waiting = job(queued_status())
    world = observed(7200, is_truth=True, is_message_stored=True)

    assert plan(waiting, world) == NOTHING


def test_looking_again_is_spaced() -> None:
    facts = Facts(checked_at=at(7200))

    assert plan(job(queued_status()), observed(7260, facts)) == NOTHING
    assert plan(job(queued_status()), observed(7290, facts)) == LOOK_FIRST


def test_vanished_message_is_sent_as_a_new_attempt() -> None:
    world = observed(100, is_truth=True, is_message_stored=False)
    planned = plan(job(queued_status()), world)

    assert planned.status is not None
    assert planned.status.attempts == 2


@pytest.mark.parametrize(("attempts", "resumes", "is_over"), [(4, 0, True), (4, 1, False)])
def test_attempts_run_out_but_resumed_ones_do_not_count(
    attempts: int, resumes: int, is_over: bool
) -> None:
    tired = job(running_status(attempts=attempts, resumes=resumes), backoff_limit=3)
    facts = running_facts(attempt=attempts)
    planned = plan(tired, observed(91, facts, is_truth=True, is_message_stored=True))

    assert (planned.status is None) == is_over
    if is_over:
        (step,) = planned.steps
        assert isinstance(step, Publish)
        failed = envelopes.parse_data(step.event, call_events.Failed)
        assert failed.reason == Reason.BACKOFF_LIMIT_EXCEEDED


def test_stale_progress_does_not_count_for_the_new_attempt() -> None:
    second = job(queued_status(attempts=2))

    assert plan(second, observed(80, running_facts(percent=50))) == NOTHING


def test_stale_worker_that_finishes_after_all_counts() -> None:
    second = job(queued_status(attempts=2))
    planned = plan(second, observed(80, running_facts(is_analyzed=True, verdict=COMPLETED)))

    assert planned.steps == (DropMessage(5, BUS),)
    assert planned.status is not None
    assert planned.status.phase == Phase.SUCCEEDED
