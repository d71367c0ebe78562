"""What must hold when something dies: every job ends once, nothing is done twice."""

import asyncio
import random

import pytest
from parlance.contracts.bus.calls import EventType
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.crs.meta import FINALIZER, Reason
from parlance.operator.planning import outgoing
from parlance.runtime.bus import Bus

from devstack import waiting
from tests.integration.operator import proxy
from tests.integration.operator.cluster import Cluster
from tests.integration.operator.peers import Script, ScriptedRecorder, ScriptedWorker


@pytest.fixture(autouse=True)
def _peers(worker: ScriptedWorker, recorder: ScriptedRecorder) -> None:
    """Both work in every test here."""


async def create_many(cluster: Cluster, count: int, script: Script = Script.COMPLETE) -> list[str]:
    return await asyncio.gather(*(cluster.create(script) for _ in range(count)))


# --- many ---------------------------------------------------------------------------------------


async def test_hundred_jobs_at_once_complete_each_once(
    cluster: Cluster, worker: ScriptedWorker
) -> None:
    async with cluster.operator():
        names = await create_many(cluster, 100)
        jobs = await cluster.wait_until_all_let_go()

    assert {job.status.phase for job in jobs} == {"Succeeded"}
    assert worker.count_taken() == {(name, 1): 1 for name in names}


async def test_two_operators_by_accident_are_harmless(
    cluster: Cluster, worker: ScriptedWorker, recorder: ScriptedRecorder
) -> None:
    async with cluster.operator(), cluster.operator():
        names = await create_many(cluster, 40)
        jobs = await cluster.wait_until_all_let_go()

    assert {job.status.phase for job in jobs} == {"Succeeded"}
    assert worker.count_taken() == {(name, 1): 1 for name in names}
    assert all(recorder.count_seen(job.call_id, EventType.QUEUED) == 1 for job in jobs)


# --- the operator dies --------------------------------------------------------------------------


async def test_killed_again_and_again_the_operator_loses_and_repeats_nothing(
    cluster: Cluster, worker: ScriptedWorker
) -> None:
    moments = random.Random(7)
    async with cluster.operator() as operator:
        creating = asyncio.create_task(_create_slowly(cluster, 60))
        for _ in range(6):
            await asyncio.sleep(moments.uniform(0.1, 1.5))
            await operator.server.kill()
            await operator.server.start()
        names = await creating
        jobs = await cluster.wait_until_all_let_go()

    assert {job.status.phase for job in jobs} == {"Succeeded"}
    assert worker.count_taken() == {(name, 1): 1 for name in names}


async def _create_slowly(cluster: Cluster, count: int) -> list[str]:
    names = []
    for _ in range(count):
        names.append(await cluster.create())
        await asyncio.sleep(0.1)
    return names


async def test_crash_after_the_dispatch_does_not_dispatch_twice(
    cluster: Cluster, worker: ScriptedWorker, bus: Bus
) -> None:
    await worker.close()
    name = await cluster.create()
    job = await cluster.read(name)
    now = job.metadata.creation_timestamp
    assert now is not None
    await bus.publish_event(outgoing.build_queued(job, attempt=1, now=now))
    stored = await bus.publish_job(outgoing.build_dispatch(job, attempt=1, now=now))

    async with cluster.operator():
        queued = await cluster.wait_for_phase(name, "Queued")
        worker.is_open = True
        await cluster.wait_until_let_go(name)

    assert queued.status.dispatch is not None
    assert queued.status.dispatch.sequence == stored.sequence
    assert worker.count_taken() == {(name, 1): 1}


async def test_completed_while_the_operator_was_down_is_seen_afterwards(
    cluster: Cluster, worker: ScriptedWorker, recorder: ScriptedRecorder
) -> None:
    await worker.close()
    async with cluster.operator() as operator:
        name = await cluster.create()
        job = await cluster.wait_for_phase(name, "Queued")
        await operator.server.kill()
        worker.is_open = True
        await waiting.wait_until(lambda: job.call_id in recorder.outcome, 20, "it is recorded")
        await operator.server.start()
        job = await cluster.wait_until_let_go(name)

    assert (job.status.phase, job.status.attempts) == ("Succeeded", 1)


async def test_crash_before_the_release_is_made_up_for(cluster: Cluster) -> None:
    name = await cluster.create()
    done = {
        "phase": "Succeeded",
        "completionTime": "2026-01-01T00:00:00Z",
        "attempts": 1,
        "conditions": [
            {
                "type": "Complete",
                "status": "True",
                "reason": "Succeeded",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ],
    }
    await cluster.kube.patch_calljob_status(name, {"status": done})

    async with cluster.operator():
        await cluster.wait_until_gone(name)  # its time to live is long over


async def test_deleted_while_the_operator_was_down_is_let_go_afterwards(
    cluster: Cluster, worker: ScriptedWorker
) -> None:
    async with cluster.operator() as operator:
        name = await cluster.create(Script.LINGER)
        await cluster.wait_for_phase(name, "Running")
        await operator.server.kill()
        await cluster.kubectl("delete", "calljob", name, "--wait=false")
        assert FINALIZER in (await cluster.read(name)).metadata.finalizers
        await operator.server.start()
        await cluster.wait_until_gone(name)
        await waiting.wait_until(lambda: name in worker.stopped, 20, "the worker stops")


# --- the bus goes away --------------------------------------------------------------------------


async def test_deletion_does_not_wait_for_a_dead_bus_but_the_worker_hears_of_it_later(
    cluster: Cluster, worker: ScriptedWorker, bus: Bus
) -> None:
    async with cluster.operator():
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
    async with cluster.operator():
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
    async with cluster.operator():
        finished = await cluster.create()
        await cluster.wait_until_let_go(finished)
        await worker.close()
        waiting_jobs = await create_many(cluster, 20)
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
    async with cluster.operator():
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
    async with cluster.operator():
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


# --- the end is decided once --------------------------------------------------------------------


async def test_cancel_after_the_analysis_changes_nothing(
    cluster: Cluster, recorder: ScriptedRecorder
) -> None:
    recorder.is_open = False
    async with cluster.operator():
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
    async with cluster.operator():
        names = await create_many(cluster, 30)
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


# --- the API server goes away -------------------------------------------------------------------


async def test_restarted_api_server_costs_time_only(cluster: Cluster) -> None:
    async with cluster.operator() as operator:
        first = await cluster.create()
        await cluster.wait_until_let_go(first)
        await cluster.control_plane.apiserver.restart()
        names = await create_many(cluster, 10)
        jobs = await cluster.wait_until_all_let_go()

        await waiting.wait_until(operator.is_live, 20, "it is live")
    assert {job.status.phase for job in jobs} == {"Succeeded"}
    assert len(jobs) == len(names) + 1


async def test_operator_with_a_frozen_watch_works_on_by_its_lists_and_says_that_it_is_deaf(
    cluster: Cluster,
) -> None:
    times = {
        "PARLANCE_RESYNC_SECONDS": "1",
        "PARLANCE_MAX_WATCH_LAG_SECONDS": "4",
        "PARLANCE_KUBE_TIMEOUT_SECONDS": "2",
    }
    async with proxy.open_proxy(cluster.control_plane.url) as between:
        kubeconfig = proxy.write_kubeconfig(
            cluster.control_plane.kubeconfig, cluster.folder, between.port
        )
        async with cluster.operator(kubeconfig, **times) as operator:
            first = await cluster.create()
            await cluster.wait_until_let_go(first)
            await waiting.wait_until(operator.is_live, 20, "it is live")
            between.freeze()
            second = await cluster.create()
            job = await cluster.wait_until_let_go(second)

            async def is_dead() -> bool:
                return not await operator.is_live()

            await waiting.wait_until(is_dead, 20, "liveness fails")

    assert job.status.phase == "Succeeded"


async def test_liveness_fails_when_the_bus_is_silent_for_long(cluster: Cluster) -> None:
    async with cluster.operator(PARLANCE_MAX_BUS_SILENCE_SECONDS="6") as operator:
        await waiting.wait_until(operator.is_live, 20, "it is live")
        await cluster.nats.process.kill()

        async def is_dead() -> bool:
            return not await operator.is_live()

        await waiting.wait_until(is_dead, 20, "liveness fails")
        await cluster.nats.process.start()
        await waiting.wait_until(operator.is_live, 20, "liveness is back")


async def test_operator_stops_quickly_and_cleanly(cluster: Cluster) -> None:
    async with cluster.operator() as operator:
        name = await cluster.create(Script.LINGER)
        await cluster.wait_for_phase(name, "Running")
        started = asyncio.get_running_loop().time()
        await operator.server.stop()

    assert asyncio.get_running_loop().time() - started < 8
