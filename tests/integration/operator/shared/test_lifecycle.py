"""One job at a time, through every way it can go. Real API server and NATS, scripted worker."""

import re

import pytest
from parlance.contracts.bus.calls import EventType
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.crs.meta import ConditionType, Reason
from parlance.operator.planning import conditions

from devstack import waiting
from tests.integration.operator.cluster import Cluster
from tests.integration.operator.peers import Script, ScriptedRecorder, ScriptedWorker

APPLIED = """
apiVersion: parlance.dev/v1alpha1
kind: CallJob
metadata: {name: by-hand}
spec:
  company: acme
  audio: {objectKey: acme/complete.wav}
"""


@pytest.fixture(autouse=True)
def _peers(worker: ScriptedWorker, recorder: ScriptedRecorder) -> None:
    """Both work in every test here."""


async def test_job_completes_and_shows_it(cluster: Cluster) -> None:
    name = await cluster.create()
    waited = await cluster.kubectl(
        "wait", "--for=condition=Complete", "--timeout=20s", f"calljob/{name}"
    )
    job = await cluster.wait_until_let_go(name)
    table = await cluster.kubectl("get", "callj", name)

    assert "condition met" in waited
    assert job.status.result is not None
    assert (job.status.attempts, job.status.result.segments) == (1, 3)
    assert job.status.observed_generation == 1
    assert table.splitlines()[0].split() == ["NAME", "PHASE", "STAGE", "PROGRESS", "COMPANY", "AGE"]
    assert table.splitlines()[1].split()[:5] == [name, "Succeeded", "Done", "100", "acme"]


async def test_job_applied_by_hand_goes_the_same_way(
    cluster: Cluster, recorder: ScriptedRecorder
) -> None:
    await cluster.kubectl("apply", "-f", "-", stdin=APPLIED)
    job = await cluster.wait_until_let_go("by-hand")

    assert job.status.phase == "Succeeded"
    assert recorder.queued[job.metadata.uid].object_key == "acme/complete.wav"
    assert job.metadata.labels["parlance.dev/company"] == "acme"


async def test_failed_job_gives_reason_and_message(cluster: Cluster) -> None:
    name = await cluster.create(Script.FAIL)
    job = await cluster.wait_until_let_go(name)

    failed = conditions.find_condition(job.status, ConditionType.FAILED)
    assert failed is not None
    assert failed.reason == Reason.UNDECODABLE_AUDIO
    assert job.status.failure is not None
    assert job.status.failure.message == "the file has no audio that can be decoded"
    assert job.status.phase == "Failed"


async def test_deadline_ends_the_job_and_the_work(
    cluster: Cluster, worker: ScriptedWorker, recorder: ScriptedRecorder
) -> None:
    name = await cluster.create(Script.LINGER, active_deadline_seconds=1)
    job = await cluster.wait_until_let_go(name)
    await waiting.wait_until(lambda: name in worker.stopped, 20, "the worker stops")

    assert job.status.failure is not None
    assert job.status.failure.reason == Reason.DEADLINE_EXCEEDED
    assert worker.stopped[name] is ControlAction.CANCEL
    assert recorder.outcome[job.call_id] is EventType.FAILED


async def test_cancel_ends_a_running_job(cluster: Cluster, worker: ScriptedWorker) -> None:
    name = await cluster.create(Script.LINGER)
    await cluster.wait_for_phase(name, "Running")
    await cluster.edit(name, cancel=True)
    job = await cluster.wait_until_let_go(name)
    await waiting.wait_until(lambda: name in worker.stopped, 20, "the worker stops")

    failed = conditions.find_condition(job.status, ConditionType.FAILED)
    assert (job.status.phase, failed and failed.reason) == ("Cancelled", "Cancelled")
    assert worker.stopped[name] is ControlAction.CANCEL


async def test_cancel_of_a_waiting_job_takes_it_out_of_the_queue(
    cluster: Cluster, worker: ScriptedWorker
) -> None:
    await worker.close()
    name = await cluster.create()
    await cluster.wait_for_phase(name, "Queued")
    await cluster.edit(name, cancel=True)
    job = await cluster.wait_until_let_go(name)
    worker.is_open = True
    other = await cluster.create()
    await cluster.wait_until_let_go(other)

    assert job.status.phase == "Cancelled"
    assert [dispatch.name for dispatch in worker.taken] == [other]


async def test_job_born_cancelled_is_never_dispatched(
    cluster: Cluster, worker: ScriptedWorker
) -> None:
    name = await cluster.create(cancel=True)
    job = await cluster.wait_until_let_go(name)

    assert (job.status.phase, job.status.attempts, worker.taken) == ("Cancelled", 0, [])


async def test_deleting_a_running_job_stops_the_work(
    cluster: Cluster, worker: ScriptedWorker, recorder: ScriptedRecorder
) -> None:
    name = await cluster.create(Script.LINGER)
    job = await cluster.wait_for_phase(name, "Running")
    await cluster.kubectl("delete", "calljob", name, "--timeout=20s")
    await waiting.wait_until(lambda: name in worker.stopped, 20, "the worker stops")

    assert worker.stopped[name] is ControlAction.CANCEL
    assert recorder.outcome[job.call_id] is EventType.CANCELLED


async def test_suspended_job_is_held_and_dispatched_on_resume(
    cluster: Cluster, worker: ScriptedWorker
) -> None:
    name = await cluster.create(suspend=True)
    await cluster.wait_for_phase(name, "Suspended")
    assert worker.taken == []
    await cluster.edit(name, suspend=False)
    job = await cluster.wait_until_let_go(name)

    assert (job.status.phase, job.status.attempts) == ("Succeeded", 1)
    await cluster.wait_for_event_reasons(name, ["Suspended", "Resumed", "Completed"])


async def test_running_job_drains_on_suspend_and_begins_anew_on_resume(
    cluster: Cluster, worker: ScriptedWorker
) -> None:
    name = await cluster.create(Script.LINGER, backoff_limit=0)
    await cluster.wait_for_phase(name, "Running")
    await cluster.edit(name, suspend=True)
    await cluster.wait_for_phase(name, "Suspended")
    await waiting.wait_until(lambda: name in worker.stopped, 20, "the worker stops")
    assert worker.stopped[name] is ControlAction.PAUSE
    await cluster.edit(name, suspend=False)
    job = await cluster.wait_for_phase(name, "Running")

    assert (job.status.attempts, job.status.resumes) == (2, 1)


async def test_handed_back_job_says_what_it_waits_for(cluster: Cluster) -> None:
    name = await cluster.create(Script.HAND_BACK)

    async def is_explained() -> bool:
        job = await cluster.read(name)
        known = conditions.find_condition(job.status, ConditionType.DISPATCHED)
        return known is not None and known.reason == Reason.WAITING_FOR_MODEL

    await waiting.wait_until(is_explained, 10, "the job says that it waits for the model")
    job = await cluster.wait_until_let_go(name)

    assert (job.status.phase, job.status.attempts) == ("Succeeded", 1)


async def test_finished_job_is_removed_after_its_time(cluster: Cluster) -> None:
    name = await cluster.create(ttl_seconds_after_finished=1)
    await cluster.wait_until_gone(name)

    assert (await cluster.list_event_reasons(name))[-1] == "Expired"


async def test_clients_see_queued_first_and_progress_on_the_way(
    cluster: Cluster, recorder: ScriptedRecorder
) -> None:
    name = await cluster.create(Script.LINGER)
    job = await cluster.wait_for_phase(name, "Running")
    await waiting.wait_until(
        lambda: recorder.count_seen(job.call_id, EventType.PROGRESS) > 0, 20, "progress"
    )

    types = [type_ for call, type_, _ in recorder.seen if call == job.call_id]
    assert types[:2] == [EventType.QUEUED, EventType.STARTED]
    assert re.fullmatch(r"call-[0-9a-f-]{36}", name)
