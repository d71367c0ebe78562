"""What needs an operator with times of its own, or one that has ended."""

import pytest
from parlance.contracts.bus.calls import EventType
from parlance.contracts.crs.meta import Reason

from tests.integration.operator.cluster import Cluster
from tests.integration.operator.peers import Script, ScriptedRecorder, ScriptedWorker


@pytest.fixture(autouse=True)
def _peers(worker: ScriptedWorker, recorder: ScriptedRecorder) -> None:
    """Both work in every test here."""


async def test_events_tell_the_story_in_two_lines(cluster: Cluster) -> None:
    async with cluster.operator():
        name = await cluster.create()
        await cluster.wait_until_let_go(name)
    # The operator posts what it has to tell before it ends.
    assert await cluster.list_event_reasons(name) == ["Dispatched", "Completed"]


async def test_short_call_costs_at_most_seven_writes(cluster: Cluster) -> None:
    async with cluster.operator(PARLANCE_STAGE_SECONDS="60"):
        before = await cluster.count_writes()
        name = await cluster.create(ttl_seconds_after_finished=0)
        await cluster.wait_until_gone(name)
        writes = await cluster.count_writes() - before

    # create; Queued, Running, Complete; finalizer off with the label on; delete.
    assert (writes["POST"], writes["DELETE"]) == (1, 1)
    assert writes.total() <= 7


async def test_silent_worker_is_replaced_and_the_job_completes(
    cluster: Cluster, worker: ScriptedWorker
) -> None:
    # Longer than a machine stands still: the second worker must not seem to be silent too.
    async with cluster.operator(PARLANCE_STALL_SECONDS="6"):
        name = await cluster.create(Script.VANISH)
        job = await cluster.wait_until_let_go(name, 40)

    assert (job.status.phase, job.status.attempts) == ("Succeeded", 2)
    assert job.status.failure is not None
    assert job.status.failure.reason == Reason.WORKER_LOST
    assert worker.count_taken() == {(name, 1): 1, (name, 2): 1}
    assert await cluster.list_event_reasons(name) == ["Dispatched", "Retrying", "Completed"]


async def test_attempts_run_out(cluster: Cluster, recorder: ScriptedRecorder) -> None:
    async with cluster.operator(PARLANCE_STALL_SECONDS="2"):
        name = await cluster.create(Script.VANISH_ALWAYS, backoff_limit=1)
        job = await cluster.wait_until_let_go(name)

    assert (job.status.phase, job.status.attempts) == ("Failed", 2)
    assert job.status.failure is not None
    assert job.status.failure.reason == Reason.BACKOFF_LIMIT_EXCEEDED
    assert recorder.outcome[job.call_id] is EventType.FAILED
