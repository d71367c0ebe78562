"""How jobs end, compared as whole values: the job and the world in, everything to be done out."""

import dataclasses

from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.crs.meta import (
    TERMINAL_LABEL,
    ConditionType,
    Failure,
    Phase,
    Progress,
    Reason,
)
from parlance.contracts.crs.v1alpha1.calljob import Result
from parlance.operator.planning import outgoing
from parlance.operator.planning.facts import Facts, RunStage
from parlance.operator.planning.plan import plan
from parlance.operator.planning.steps import (
    NOTHING,
    DropMessage,
    Plan,
    Publish,
    PutNote,
    Record,
)

from tests.unit.operators.builders import (
    ACCEPTED,
    BUS,
    CANCELLED,
    COMPLETED,
    DONE_STATUS,
    FAILED,
    LOOK_FIRST,
    RUNNING,
    SUCCEEDED,
    T0,
    at,
    condition,
    job,
    observed,
    running_facts,
    running_status,
)

# --- the end --------------------------------------------------------------------------------------


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


# --- cancel ---------------------------------------------------------------------------------------


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


# --- deletion -------------------------------------------------------------------------------------


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
