"""Decisions, compared as whole values: the job and the world in, everything to be done out."""

import dataclasses

import pytest
from parlance.contracts.bus import messages
from parlance.contracts.bus.messages import ControlAction
from parlance.contracts.crs.meta import (
    TERMINAL_LABEL,
    ConditionType,
    Failure,
    Phase,
    Progress,
    Reason,
)
from parlance.contracts.crs.v1alpha1.calljob import CallJobStatus, Dispatch, Result
from parlance.operator.planning import outgoing, transitions
from parlance.operator.planning.facts import Facts, RunStage, Waiting
from parlance.operator.planning.plan import plan
from parlance.operator.planning.steps import (
    NOTHING,
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
    CANCELLED,
    COMPLETED,
    DONE_STATUS,
    FAILED,
    RUNNING,
    SUCCEEDED,
    T0,
    at,
    condition,
    job,
    observed,
    queued_status,
    running_facts,
    running_status,
)

LOOK_FIRST = Plan(needs_truth=True)
# --- dispatch -----------------------------------------------------------------------------------


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


# --- progress -----------------------------------------------------------------------------------


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


# --- the end ------------------------------------------------------------------------------------


def test_completed_job_carries_its_result_and_is_let_go() -> None:
    facts = running_facts(verdict=COMPLETED, is_analyzed=True, heard_at=at(9))

    assert plan(job(running_status()), observed(9, facts)) == Plan(
        status=running_status(
            conditions=(ACCEPTED, RUNNING, SUCCEEDED),
            phase=Phase.SUCCEEDED,
            completion_time=at(9),
            progress=Progress(
                percent=100,
                stage="Done",
                processed_seconds=61,
                total_seconds=61,
                last_updated_time=at(9),
            ),
            result=Result(object_key="t", sha256="a" * 64, segments=3, duration_seconds=61),
        ),
        releases=True,
        records=(Record("Completed", "3 segments of 61.0 s of audio"),),
    )


def test_failed_job_says_why() -> None:
    facts = running_facts(verdict=FAILED)
    failed = condition(
        ConditionType.FAILED, "True", Reason.UNDECODABLE_AUDIO, "no audio", since=at(9)
    )

    assert plan(job(running_status()), observed(9, facts)) == Plan(
        status=running_status(
            conditions=(ACCEPTED, RUNNING, failed),
            phase=Phase.FAILED,
            completion_time=at(9),
            failure=Failure(
                reason=Reason.UNDECODABLE_AUDIO,
                message="no audio",
                stage="Transcribe",
                retryable=False,
                attempt=1,
            ),
        ),
        releases=True,
        records=(Record("Failed", "UndecodableAudio: no audio", is_warning=True),),
    )


def test_cancelled_job_stops_the_work() -> None:
    planned = plan(job(running_status()), observed(9, running_facts(verdict=CANCELLED)))

    assert planned.steps == (PutNote(ControlAction.CANCEL), DropMessage(5, BUS))
    assert planned.status is not None
    assert planned.status.phase == Phase.CANCELLED


def test_cancelled_job_whose_dispatch_is_not_known_is_stopped_too() -> None:
    """The status that would have told of the dispatch was refused, since somebody had cancelled."""
    planned = plan(job(cancel=True), observed(9, Facts(attempt=1, verdict=CANCELLED)))

    assert planned.steps == (PutNote(ControlAction.CANCEL),)


def test_finished_job_is_let_go_once() -> None:
    labels = {TERMINAL_LABEL: "true"}

    assert plan(job(DONE_STATUS), observed(10)) == Plan(releases=True)
    assert plan(job(DONE_STATUS, finalizers=(), labels=labels), observed(10)) == NOTHING


def test_finished_job_is_removed_when_its_time_is_over() -> None:
    done = job(
        DONE_STATUS,
        finalizers=(),
        labels={TERMINAL_LABEL: "true"},
        ttl_seconds_after_finished=10,
    )

    assert plan(done, observed(18)) == NOTHING
    assert plan(done, observed(19)) == Plan(
        removes=True,
        records=(Record("Expired", "finished 10 s ago; the result stays in the API"),),
    )


# --- cancel -------------------------------------------------------------------------------------


def test_cancel_before_dispatch_is_announced_at_once() -> None:
    unwanted = job(cancel=True)

    assert plan(unwanted, observed()) == Plan(
        steps=(Publish(outgoing.build_cancelled(unwanted, "cancelled by spec.cancel", now=T0)),)
    )


def test_cancel_of_dispatched_job_looks_at_the_stream_first() -> None:
    unwanted = job(running_status(), cancel=True)
    world = observed(5, running_facts())

    assert plan(unwanted, world) == LOOK_FIRST
    assert plan(unwanted, dataclasses.replace(world, is_truth=True)) == Plan(
        steps=(Publish(outgoing.build_cancelled(unwanted, "cancelled by spec.cancel", now=at(5))),)
    )


def test_cancel_comes_too_late_after_the_analysis() -> None:
    facts = running_facts(is_analyzed=True, stage=RunStage.STORE, percent=99, heard_at=at(2))
    planned = plan(job(running_status(), cancel=True), observed(2, facts))

    assert planned == Plan(recheck_seconds=1.0)


# --- deadline and stall -------------------------------------------------------------------------


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
        failed = messages.parse_data(step.event, messages.Failed)
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


# --- suspension ---------------------------------------------------------------------------------


def test_suspended_job_is_not_dispatched() -> None:
    accepted = ACCEPTED.model_copy(update={"last_transition_time": T0})
    held = condition(ConditionType.SUSPENDED, "True", Reason.SUSPENDED, "suspended")

    assert plan(job(suspend=True), observed()) == Plan(
        steps=(PutNote(ControlAction.PAUSE),),
        status=CallJobStatus(
            observed_generation=1, conditions=(accepted, held), phase=Phase.SUSPENDED
        ),
        records=(Record("Suspended", "suspended"),),
    )


def test_job_resumed_before_it_ever_ran_is_announced_and_its_note_taken_back() -> None:
    held = condition(ConditionType.SUSPENDED, "True", Reason.SUSPENDED, "suspended")
    new = job(CallJobStatus(conditions=(ACCEPTED, held), phase=Phase.SUSPENDED))

    assert plan(new, observed(5)).steps == (
        ClearNote(),
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


# --- deletion -----------------------------------------------------------------------------------


def test_deleting_an_unfinished_job_cancels_it_and_waits_for_nobody() -> None:
    going = job(running_status(), deleted_at=at(4))
    event = outgoing.build_cancelled(going, "the CallJob was deleted", now=at(5))

    assert plan(going, observed(5)) == Plan(
        steps=(Publish(event), PutNote(ControlAction.CANCEL), DropMessage(5, BUS)),
        releases=True,
        records=(Record("Cancelled", "the CallJob was deleted"),),
    )


def test_deleted_job_waits_for_the_bus_only_so_long() -> None:
    going = job(running_status(), deleted_at=at(4))
    event = outgoing.build_cancelled(going, "the CallJob was deleted", now=at(19))
    message = (
        "the CallJob was deleted while the bus was away: a worker is told as soon as it is back"
    )

    assert plan(going, observed(14, bus_created=None)) == Plan(recheck_seconds=5.0)
    assert plan(going, observed(19, bus_created=None)) == Plan(
        releases=True,
        deferred=(Publish(event), PutNote(ControlAction.CANCEL), DropMessage(5, BUS)),
        records=(Record("Cancelled", message, is_warning=True),),
    )


def test_finalizers_of_others_are_not_ours_to_wait_for() -> None:
    assert plan(job(finalizers=("other/one",), deleted_at=T0), observed()) == NOTHING


# --- outage -------------------------------------------------------------------------------------


def test_outage_is_said_once() -> None:
    new = job()
    told = transitions.explain_outage(new, now=T0)
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
    assert transitions.explain_outage(job(told.status), now=at(1)) == NOTHING


def test_running_job_does_not_care_about_an_outage() -> None:
    assert transitions.explain_outage(job(running_status()), now=T0) == NOTHING


def test_job_after_an_outage_is_dispatched_as_the_first_attempt() -> None:
    told = transitions.explain_outage(job(), now=T0)
    planned = plan(job(told.status), observed(5))

    assert planned.status is not None
    assert planned.status.attempts == 1
    assert planned.status.dispatch == Dispatch(time=at(5))
