"""What must hold in a crowd, in a race and while the bus or the API server is away: every job ends
once, nothing is done twice."""

import asyncio
import random

import pytest
from parlance.contracts.bus.calls import EventType
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.crs.meta import Reason
from parlance.runtime.bus import Bus

from devstack import waiting
from tests.integration.operator.cluster import Cluster, Operator
from tests.integration.operator.peers import Script, ScriptedRecorder, ScriptedWorker


@pytest.fixture(autouse=True)
def _peers(worker: ScriptedWorker, recorder: ScriptedRecorder) -> None:
    """Both work in every test here."""


# --- many -----------------------------------------------------------------------------------------


async def test_hundred_jobs_at_once_complete_each_once(
    cluster: Cluster, worker: ScriptedWorker
) -> None:
    names = await cluster.create_many(100)
    jobs = await cluster.wait_until_all_let_go()

    assert {job.status.phase for job in jobs} == {"Succeeded"}
    assert worker.count_taken() == {(name, 1): 1 for name in names}


# --- the bus goes away ----------------------------------------------------------------------------


async def test_deletion_does_not_wait_for_a_dead_bus_but_the_worker_hears_of_it_later(
    cluster: Cluster, worker: ScriptedWorker, bus: Bus
) -> None:
    name = await cluster.create(Script.LINGER)
    job = await cluster.wait_for_phase(name, "Running")
    await cluster.nats.process.kill()
    await cluster.kubectl("delete", "calljob", name, "--timeout=30s")
    await cluster.nats.process.start()

    async def is_noted() -> bool:
        return await bus.get_control(job.call_id) is ControlAction.CANCEL

    await waiting.wait_until(is_noted, 30, "the cancel note stands")


async def test_jobs_created_while_the_bus_is_away_say_why_and_go_on_by_themselves(
    cluster: Cluster,
) -> None:
    await cluster.nats.process.kill()
    name = await cluster.create()

    async def is_explained() -> bool:
        return [c.reason for c in (await cluster.read(name)).status.conditions] == [
            Reason.ACCEPTED,
            Reason.BUS_UNAVAILABLE,
        ]

    await waiting.wait_until(is_explained, 40, "the job says why it waits")
    await cluster.nats.process.start()
    job = await cluster.wait_until_let_go(name, 40)

    assert (job.status.phase, job.status.attempts) == ("Succeeded", 1)


async def test_all_of_the_bus_lost_everything_unfinished_runs_again(
    cluster: Cluster, worker: ScriptedWorker
) -> None:
    finished = await cluster.create()
    await cluster.wait_until_let_go(finished)
    await worker.close()
    waiting_jobs = await cluster.create_many(20)
    for name in waiting_jobs:
        await cluster.wait_for_phase(name, "Queued")
    await cluster.nats.wipe()
    worker.is_open = True
    jobs = await cluster.wait_until_all_let_go()

    assert {job.status.phase for job in jobs} == {"Succeeded"}
    assert {job.status.attempts for job in jobs} == {1}
    assert worker.count_taken()[(finished, 1)] == 1


async def test_cancelled_job_of_a_lost_bus_takes_nobody_elses_message_along(
    cluster: Cluster, worker: ScriptedWorker
) -> None:
    """In the new stream the sequence of the cancelled one's message is that of another job."""
    await worker.close()
    cancelled, other = [await cluster.create() for _ in range(2)]
    for name in (cancelled, other):
        await cluster.wait_for_phase(name, "Queued")
    await cluster.nats.process.kill()
    await cluster.edit(cancelled, cancel=True)
    await cluster.nats.wipe()
    assert (await cluster.wait_until_let_go(cancelled, 40)).status.phase == "Cancelled"
    worker.is_open = True
    job = await cluster.wait_until_let_go(other, 20)

    assert (job.status.phase, job.status.attempts) == ("Succeeded", 1)


async def test_result_that_was_lost_with_the_bus_before_it_was_recorded_is_made_again(
    cluster: Cluster, worker: ScriptedWorker, recorder: ScriptedRecorder
) -> None:
    recorder.is_open = False
    name = await cluster.create()

    async def is_analyzed() -> bool:
        progress = (await cluster.read(name)).status.progress
        return progress is not None and progress.stage == "Store"

    await waiting.wait_until(is_analyzed, 20, "the analysis is done")
    await cluster.nats.wipe()
    recorder.is_open = True
    job = await cluster.wait_until_let_go(name, 40)

    assert (job.status.phase, job.status.attempts) == ("Succeeded", 1)
    assert worker.count_taken() == {(name, 1): 2}


# --- the end is decided once ----------------------------------------------------------------------


async def test_cancel_after_the_analysis_changes_nothing(
    cluster: Cluster, recorder: ScriptedRecorder
) -> None:
    recorder.is_open = False
    name = await cluster.create()

    async def is_analyzed() -> bool:
        progress = (await cluster.read(name)).status.progress
        return progress is not None and progress.stage == "Store"

    await waiting.wait_until(is_analyzed, 20, "the analysis is done")
    await cluster.edit(name, cancel=True)
    recorder.is_open = True
    job = await cluster.wait_until_let_go(name)

    assert job.status.phase == "Succeeded"
    assert recorder.outcome[job.call_id] is EventType.COMPLETED


async def test_job_always_ends_as_the_database_says(
    cluster: Cluster, worker: ScriptedWorker, recorder: ScriptedRecorder
) -> None:
    """Cancel requests that race with the worker's end."""
    names = await cluster.create_many(30)
    moments = random.Random(11)

    async def cancel(name: str) -> None:
        await asyncio.sleep(moments.uniform(0, 0.5))
        await cluster.edit(name, cancel=True)

    await asyncio.gather(*(cancel(name) for name in names))
    jobs = await cluster.wait_until_all_let_go()

    ends = {EventType.COMPLETED: "Succeeded", EventType.CANCELLED: "Cancelled"}
    assert [job.status.phase for job in jobs] == [
        ends[recorder.outcome[job.call_id]] for job in jobs
    ]


# --- the API server goes away ---------------------------------------------------------------------


async def test_restarted_api_server_costs_time_only(cluster: Cluster, operator: Operator) -> None:
    first = await cluster.create()
    await cluster.wait_until_let_go(first)
    await cluster.control_plane.apiserver.kill()
    await cluster.control_plane.apiserver.start()
    names = await cluster.create_many(10)
    jobs = await cluster.wait_until_all_let_go()

    await waiting.wait_until(operator.is_live, 20, "it is live")
    assert {job.status.phase for job in jobs} == {"Succeeded"}
    assert len(jobs) == len(names) + 1
