"""People with kubectl: apply a job, watch it, delete it."""

import json
import pathlib
import shutil

import pytest

from devstack import testdata, waiting
from devstack.api_client import ApiClient
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


async def test_deleting_a_running_job_stops_its_work_within_a_window(
    stack: Stack, client: ApiClient
) -> None:
    long_call = await testdata.make_long_call(1800.0)
    put_object(stack, long_call.path, "acme/archive/long.wav")
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
    await kubectl("-n", stack.namespace, "delete", "calljob", "too-long", "--timeout=40s")

    call = await client.wait_for_end(uid, 30)
    events = await observing.fetch_all_events(client, uid)
    assert call["status"] == "cancelled"
    assert events[-1].type == "call.cancelled"
    processed = [
        event.data["data"]["processed_seconds"] for event in events if event.type == "call.segment"
    ]
    assert max(processed, default=0.0) < 1800.0
    assert "too-long" not in await observing.list_jobs(stack)
