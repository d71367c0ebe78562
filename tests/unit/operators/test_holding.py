"""Suspended jobs, compared as whole values."""

from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.crs.meta import (
    ConditionType,
    Phase,
    Reason,
)
from parlance.contracts.crs.v1alpha1.calljob import CallJobStatus
from parlance.operator.planning import outgoing
from parlance.operator.planning.plan import plan
from parlance.operator.planning.steps import (
    ClearNote,
    DropMessage,
    Plan,
    Publish,
    PutNote,
    Record,
    SendDispatch,
)

from tests.unit.operators.builders import (
    ACCEPTED,
    BUS,
    T0,
    at,
    condition,
    job,
    observed,
    queued_status,
    running_facts,
    running_status,
)


def test_suspended_job_is_not_dispatched() -> None:
    accepted = ACCEPTED.model_copy(update={"last_transition_time": T0})
    held = condition(ConditionType.SUSPENDED, "True", Reason.SUSPENDED, "suspended")

    assert plan(job(suspend=True), observed()) == Plan(
        status=CallJobStatus(
            observed_generation=1, conditions=(accepted, held), phase=Phase.SUSPENDED
        ),
        records=(Record("Suspended", "suspended"),),
    )


def test_job_resumed_before_it_ever_ran_is_announced_like_a_new_one() -> None:
    held = condition(ConditionType.SUSPENDED, "True", Reason.SUSPENDED, "suspended")
    new = job(CallJobStatus(conditions=(ACCEPTED, held), phase=Phase.SUSPENDED))

    assert plan(new, observed(5)).steps == (
        Publish(outgoing.build_queued(new, attempt=1, now=at(5))),
        SendDispatch(outgoing.build_dispatch(new, attempt=1, now=at(5))),
    )


def test_running_job_is_drained_when_suspended() -> None:
    world = observed(5, running_facts(), is_truth=True)
    planned = plan(job(running_status(), suspend=True), world)

    assert planned.steps == (PutNote(ControlAction.PAUSE), DropMessage(5, BUS))
    assert planned.status is not None
    assert (planned.status.phase, planned.status.start_time) == (Phase.SUSPENDED, None)


def test_resumed_job_is_a_new_attempt_that_is_not_held_against_it() -> None:
    held = condition(ConditionType.SUSPENDED, "True", Reason.SUSPENDED, "suspended")
    was_running = job(
        queued_status(conditions=(ACCEPTED, held), phase=Phase.SUSPENDED, dispatch=None)
    )
    planned = plan(was_running, observed(5))

    assert planned.steps == (
        ClearNote(),
        SendDispatch(outgoing.build_dispatch(was_running, attempt=2, now=at(5))),
    )
    assert planned.status is not None
    assert (planned.status.attempts, planned.status.resumes) == (2, 1)
    assert planned.records == (Record("Resumed", "queued as attempt 2"),)
