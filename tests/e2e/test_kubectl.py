"""People with kubectl: apply a job, watch it, delete it."""

import asyncio
import contextlib
import json
import pathlib
import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from devstack import testdata, waiting
from devstack.api_client import ApiClient, Event
from devstack.stack import Stack
from tests.e2e import observing

pytestmark = pytest.mark.asyncio(loop_scope="session")


def format_job(name: str, key: str, **spec: object) -> str:
    return json.dumps(
        {
            "apiVersion": "parlance.dev/v1alpha1",
            "kind": "CallJob",
            "metadata": {"name": name},
            "spec": {"company": "acme", "audio": {"objectKey": key}, **spec},
        }
    )


def put_object(stack: Stack, source: pathlib.Path, key: str) -> None:
    """What a team does that copies its archive into the bucket by itself."""
    target = stack.folder / "objects" / key
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


async def test_an_applied_job_completes_and_appears_in_the_api(
    stack: Stack, client: ApiClient, two_cities: testdata.Recording
) -> None:
    put_object(stack, two_cities.path, "acme/archive/two-cities.wav")
    kubectl = stack.cluster.run_kubectl
    await kubectl(
        "-n", stack.namespace, "apply", "-f", "-",
        stdin=format_job("by-hand", "acme/archive/two-cities.wav"),
    )  # fmt: skip

    await kubectl(
        "-n", stack.namespace, "wait", "calljob/by-hand",
        "--for=condition=Complete", "--timeout=90s",
    )  # fmt: skip

    job = await observing.fetch_job(stack, "by-hand")
    call = await client.fetch_call(job["metadata"]["uid"])
    assert call["status"] == "completed"
    listed = (await client.get("/api/calls", limit=200)).json()["items"]
    assert job["metadata"]["uid"] in {item["id"] for item in listed}
    shown = await kubectl("-n", stack.namespace, "get", "calljob", "by-hand")
    assert "Succeeded" in shown
    assert "100" in shown


@pytest_asyncio.fixture(loop_scope="session")
async def _narrow_worker(stack: Stack) -> AsyncIterator[None]:
    """One window of a call is at the model at a time, so that windows can be counted."""
    name = "PARLANCE_WORKER_WINDOWS_PER_CALL"
    await stack.processes["worker"].restart({name: "1"})
    yield
    await stack.processes["worker"].restart({name: "16"})


@contextlib.asynccontextmanager
async def following(client: ApiClient, call_id: str) -> AsyncIterator[list[Event]]:
    """The events of a call, as they come."""
    seen: list[Event] = []

    async def follow() -> None:
        async for event in client.follow(call_id):
            seen.append(event)

    task = asyncio.create_task(follow())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.usefixtures("_narrow_worker")
async def test_deleting_a_running_job_stops_its_work_within_a_window(
    stack: Stack, client: ApiClient, two_cities: testdata.Recording
) -> None:
    """The model stands still while the job is deleted: whatever is transcribed afterwards, beyond
    the one window that it has, was begun after the deletion."""
    long_call = await testdata.make_long_call(1800.0)
    put_object(stack, long_call.path, "acme/archive/long.wav")
    put_object(stack, two_cities.path, "acme/archive/next.wav")
    kubectl = stack.cluster.run_kubectl
    await kubectl(
        "-n", stack.namespace, "apply", "-f", "-",
        stdin=format_job("too-long", "acme/archive/long.wav"),
    )  # fmt: skip
    uid = (await observing.fetch_job(stack, "too-long"))["metadata"]["uid"]

    async def is_running() -> bool:
        answer = await client.get(f"/api/calls/{uid}")
        return answer.status_code == 200 and answer.json()["status"] == "processing"

    await waiting.wait_until(is_running, 60, "the call is being transcribed")
    async with following(client, uid) as seen:
        await waiting.wait_until(lambda: count_windows(seen) >= 2, 60, "two windows")
        await stack.triton.process.pause()
        try:
            done = count_windows(seen)
            await kubectl("-n", stack.namespace, "delete", "calljob", "too-long", "--timeout=40s")
            call = await client.wait_for_end(uid, 30)
        finally:
            stack.triton.process.resume()
    # What the worker had not let go would be transcribed before this or beside it.
    await kubectl(
        "-n", stack.namespace, "apply", "-f", "-",
        stdin=format_job("next", "acme/archive/next.wav"),
    )  # fmt: skip
    await kubectl(
        "-n", stack.namespace, "wait", "calljob/next",
        "--for=condition=Complete", "--timeout=90s",
    )  # fmt: skip

    events = await observing.fetch_all_events(client, uid)
    windows = await observing.count_windows_on_the_bus(stack, uid)
    assert call["status"] == "cancelled"
    assert events[-1].type == "call.cancelled"
    assert count_windows(events) >= 2
    assert windows - done <= 1
    assert "too-long" not in await observing.list_jobs(stack)


def count_windows(events: list[Event]) -> int:
    return sum(event.type == "call.segment" for event in events)
