"""What must hold when the operator dies, is cut off, or is there twice: every job ends once, and
nothing is done twice.
"""

import asyncio
import random

import pytest
from parlance.contracts.bus.calls import EventType
from parlance.contracts.crs.meta import FINALIZER
from parlance.operator.planning import outgoing
from parlance.runtime.bus import Bus

from devstack import waiting
from tests.integration.operator import proxy
from tests.integration.operator.cluster import Cluster
from tests.integration.operator.peers import Script, ScriptedRecorder, ScriptedWorker


@pytest.fixture(autouse=True)
def _peers(worker: ScriptedWorker, recorder: ScriptedRecorder) -> None:
    """Both work in every test here."""


async def test_two_operators_by_accident_are_harmless(
    cluster: Cluster, worker: ScriptedWorker, recorder: ScriptedRecorder
) -> None:
    async with cluster.operator(), cluster.operator():
        names = await cluster.create_many(40)
        jobs = await cluster.wait_until_all_let_go()

    assert {job.status.phase for job in jobs} == {"Succeeded"}
    assert worker.count_taken() == {(name, 1): 1 for name in names}
    assert all(recorder.count_seen(job.call_id, EventType.QUEUED) == 1 for job in jobs)


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
