"""A trace that a customer's request belongs to is found again in what it sets off."""

import contextlib
import pathlib
from collections.abc import AsyncIterator

import httpx
import nats
import pytest
from nats.js.api import RawStreamMsg
from parlance.contracts.bus import streams
from parlance.contracts.crs.meta import TRACEPARENT_ANNOTATION

from devstack import audio_files, testdata, waiting
from devstack.api_client import ApiClient
from devstack.stack import Stack
from tests.e2e import observing

pytestmark = pytest.mark.asyncio(loop_scope="session")

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@contextlib.asynccontextmanager
async def _frozen_worker(stack: Stack) -> AsyncIterator[None]:
    """It takes no message from the stream."""
    await stack.processes["worker"].pause()
    try:
        yield
    finally:
        stack.processes["worker"].resume()


async def _upload(stack: Stack, path: pathlib.Path) -> str:
    async with httpx.AsyncClient(base_url=stack.url, trust_env=False) as http:
        with path.open("rb") as file:
            answer = await http.post(
                "/api/add-calls",
                headers={"X-Api-Key": stack.credentials.api_key, "traceparent": TRACE},
                files={"call": (path.name, file)},
            )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["call_id"])


async def _fetch_message(stack: Stack, sequence: int) -> RawStreamMsg:
    """A worker's message as it lies in the stream."""
    connection = await nats.connect(stack.nats.url)
    try:
        return await connection.jetstream().get_msg(streams.JOBS.name, seq=sequence)
    finally:
        await connection.close()


async def test_the_trace_of_an_upload_goes_over_the_job_to_the_workers_message(
    stack: Stack, client: ApiClient, two_cities: testdata.Recording, tmp_path: pathlib.Path
) -> None:
    async with _frozen_worker(stack):
        call_id = await _upload(
            stack, audio_files.write_unique(two_cities.path, tmp_path / "call.wav", 80)
        )

        async def is_dispatched() -> bool:
            if f"call-{call_id}" not in await observing.list_jobs(stack):
                return False
            job = await observing.fetch_job(stack, f"call-{call_id}")
            return bool(job.get("status", {}).get("dispatch"))

        await waiting.wait_until(is_dispatched, 30, "the job is dispatched")
        job = await observing.fetch_job(stack, f"call-{call_id}")
        message = await _fetch_message(stack, job["status"]["dispatch"]["sequence"])

    assert job["metadata"]["annotations"][TRACEPARENT_ANNOTATION] == TRACE
    assert (message.headers or {})["traceparent"] == TRACE
    assert (await client.wait_for_end(call_id, 60))["status"] == "completed"
