"""What people see of a job, compared as whole values."""

import dataclasses

import pytest
from parlance.contracts.crs.meta import (
    ConditionType,
    Phase,
    Progress,
    Reason,
)
from parlance.contracts.crs.v1alpha1.calljob import CallJobStatus, Dispatch
from parlance.operator.planning import showing
from parlance.operator.planning.facts import Facts, RunStage, Waiting
from parlance.operator.planning.plan import plan
from parlance.operator.planning.steps import (
    NOTHING,
    Plan,
    Record,
)

from tests.unit.operators.builders import (
    ACCEPTED,
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

# --- progress -------------------------------------------------------------------------------------


def test_started_work_shows_at_once() -> None:
    assert plan(job(queued_status()), observed(1, running_facts())) == Plan(status=running_status())


@pytest.mark.parametrize(("seconds", "is_written"), [(10, False), (17, True)])
def test_progress_within_a_stage_is_written_sparingly(seconds: float, is_written: bool) -> None:
    facts = running_facts(percent=40, processed_seconds=26.0, heard_at=at(seconds))
    planned = plan(job(running_status()), observed(seconds, facts))
    progress = Progress(
        percent=40,
        stage="Transcribe",
        processed_seconds=26,
        total_seconds=60,
        last_updated_time=at(seconds),
    )

    assert planned == (
        Plan(status=running_status(progress=progress)) if is_written else Plan(recheck_seconds=6.0)
    )


def test_new_stage_is_written_after_a_moment() -> None:
    facts = running_facts(stage=RunStage.INSIGHTS, percent=95, processed_seconds=60.0)

    assert plan(job(running_status()), observed(2, facts)) == Plan(recheck_seconds=1.0)
    assert plan(job(running_status()), observed(3, facts)).status is not None


def test_percent_never_goes_back() -> None:
    shown = Progress(percent=50, stage="Transcribe", total_seconds=60, last_updated_time=at(1))
    facts = running_facts(percent=10, processed_seconds=9.0, heard_at=at(20))
    planned = plan(job(running_status(progress=shown)), observed(20, facts))

    assert planned.status is not None
    assert planned.status.progress is not None
    assert planned.status.progress.percent == 50


def test_handed_back_job_says_what_it_waits_for() -> None:
    facts = running_facts(waiting=Waiting(1, "WaitingForModel", "no model"))
    waits = condition(ConditionType.DISPATCHED, "True", "WaitingForModel", "no model")

    assert plan(job(running_status()), observed(5, facts)) == Plan(
        status=running_status(conditions=(ACCEPTED, waits), phase=Phase.QUEUED)
    )


# --- what a worker waits for ----------------------------------------------------------------------

HELD = Waiting(1, "WaitingForModel", "waiting for the speech model", is_held=True)
WAITS = condition(
    ConditionType.DISPATCHED, "True", "WaitingForModel", "waiting for the speech model"
)


def test_a_job_whose_worker_waits_before_it_begins_says_for_what() -> None:
    facts = Facts(events=1, heard_at=at(5), waiting=HELD)

    planned = plan(job(queued_status()), observed(5, facts))

    assert planned == Plan(status=queued_status(conditions=(ACCEPTED, WAITS)))
    assert planned.status is not None
    assert plan(job(planned.status), observed(6, facts)) == NOTHING


def test_a_running_job_says_what_its_worker_waits_for_and_when_it_goes_on() -> None:
    waits = plan(job(running_status()), observed(5, running_facts(waiting=HELD)))
    assert waits == Plan(status=running_status(conditions=(ACCEPTED, WAITS)))
    assert waits.status is not None

    goes_on = plan(job(waits.status), observed(6, running_facts()))

    assert goes_on == Plan(status=running_status())


def test_a_job_whose_audio_is_fetched_has_started() -> None:
    fetching = Waiting(1, "FetchingAudio", "fetching", is_held=True)
    facts = Facts(events=1, heard_at=at(5), waiting=fetching)

    planned = plan(job(queued_status()), observed(5, facts))

    shown = condition(ConditionType.DISPATCHED, "True", "FetchingAudio", "fetching")
    assert planned == Plan(
        status=queued_status(conditions=(ACCEPTED, shown), phase=Phase.RUNNING, start_time=at(5))
    )
    assert planned.status is not None
    assert plan(job(planned.status), observed(3_700, facts)) == LOOK_FIRST


def test_a_job_whose_waiting_worker_fell_silent_waits_for_another_one() -> None:
    told = dataclasses.replace(HELD, told_at=at(5))
    facts = Facts(events=1, heard_at=at(5), waiting=told)
    waits = queued_status(conditions=(ACCEPTED, WAITS))
    another = condition(
        ConditionType.DISPATCHED,
        "True",
        Reason.WAITING_FOR_CAPACITY,
        "its worker fell silent; no other one has begun yet",
    )

    assert plan(job(waits), observed(94, facts, is_truth=True)) == NOTHING
    assert plan(job(waits), observed(95, facts, is_truth=True, is_message_stored=True)) == Plan(
        status=queued_status(conditions=(ACCEPTED, another))
    )


def test_a_worker_that_waits_in_mid_call_and_falls_silent_is_replaced() -> None:
    waits = running_status(conditions=(ACCEPTED, WAITS))
    facts = running_facts(waiting=HELD)

    planned = plan(job(waits), observed(120, facts, is_truth=True, is_message_stored=True))

    assert planned.status is not None
    assert planned.status.attempts == 2


# --- outage ---------------------------------------------------------------------------------------


def test_outage_is_said_once() -> None:
    new = job()
    told = showing.explain_outage(new, now=T0)
    away = condition(
        ConditionType.DISPATCHED,
        "False",
        Reason.BUS_UNAVAILABLE,
        "NATS does not answer; it is tried again and again",
    )

    assert told == Plan(
        status=CallJobStatus(
            observed_generation=1, conditions=(ACCEPTED, away), phase=Phase.PENDING
        ),
        records=(Record("Accepted", "waiting for the bus", is_warning=True),),
    )
    assert showing.explain_outage(job(told.status), now=at(1)) == NOTHING


def test_running_job_does_not_care_about_an_outage() -> None:
    assert showing.explain_outage(job(running_status()), now=T0) == NOTHING


def test_job_after_an_outage_is_dispatched_as_the_first_attempt() -> None:
    told = showing.explain_outage(job(), now=T0)
    planned = plan(job(told.status), observed(5))

    assert planned.status is not None
    assert planned.status.attempts == 1
    assert planned.status.dispatch == Dispatch(time=at(5))
