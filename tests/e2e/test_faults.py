"""kill -9 of every process in the middle of a call: it completes, and nothing is said twice."""

import asyncio
import contextlib
import pathlib
from collections.abc import Callable

import pytest
import pytest_asyncio

from devstack import audio_files, testdata, waiting
from devstack.api_client import ApiClient
from devstack.process import ServerProcess
from devstack.stack import Stack
from tests.e2e import observing

pytestmark = pytest.mark.asyncio(loop_scope="session")

CALL_SECONDS = 600.0
END_TIMEOUT_SECONDS = 150.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def long_call() -> testdata.Recording:
    return await testdata.make_long_call(CALL_SECONDS)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def undisturbed(
    stack: Stack, long_call: testdata.Recording, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The transcript of a run that nobody disturbs."""
    path = tmp_path_factory.mktemp("undisturbed") / "call.wav"
    async with ApiClient(stack.url, stack.credentials.api_key) as client:
        call_id = await client.create_call(audio_files.write_unique(long_call.path, path, 60))
        assert (await client.wait_for_end(call_id, END_TIMEOUT_SECONDS))["status"] == "completed"
        return await observing.fetch_transcript(client, call_id)


async def wait_for_segments(client: ApiClient, call_id: str, count: int) -> None:
    """Until the call is in the middle of its work. A stream that ends before is a fault."""
    seen = 0
    async with asyncio.timeout(60):
        async with contextlib.aclosing(client.stream_events(call_id)) as events:
            async for event in events:
                assert not event.is_terminal, f"{event.type} after {seen} segments"
                seen += event.type == "call.segment"
                if seen >= count:
                    return
    pytest.fail(f"the stream ended after {seen} segments")


async def require_one_good_result(
    stack: Stack, client: ApiClient, call_id: str, expected: str
) -> None:
    call = await client.wait_for_end(call_id, END_TIMEOUT_SECONDS)
    assert call["status"] == "completed", call
    assert await observing.fetch_transcript(client, call_id) == expected
    events = await observing.fetch_all_events(client, call_id)
    ids = observing.segment_ids(events)
    assert len(ids) == len(set(ids))
    assert sum(event.is_terminal for event in events) == 1

    async def is_succeeded() -> bool:
        job = await observing.fetch_job(stack, f"call-{call_id}")
        return bool(job["status"].get("phase") == "Succeeded")

    await waiting.wait_until(is_succeeded, 30, "kubectl says Succeeded")


Victim = Callable[[Stack], ServerProcess]
VICTIMS: dict[str, Victim] = {
    "worker": lambda stack: stack.processes["worker"],
    "triton": lambda stack: stack.triton.process,
    "operator": lambda stack: stack.processes["operator"],
    "recorder": lambda stack: stack.processes["recorder"],
    "nats": lambda stack: stack.nats.process,
}


@pytest.mark.parametrize("victim", VICTIMS)
async def test_a_call_survives_the_death_of(
    victim: str,
    stack: Stack,
    client: ApiClient,
    long_call: testdata.Recording,
    undisturbed: str,
    tmp_path: pathlib.Path,
) -> None:
    mark = 61 + list(VICTIMS).index(victim)
    path = audio_files.write_unique(long_call.path, tmp_path / "call.wav", mark)
    call_id = await client.create_call(path)
    await wait_for_segments(client, call_id, 3)

    process = VICTIMS[victim](stack)
    await process.kill()
    try:
        before = await client.fetch_call(call_id)
    finally:
        await process.start()

    await require_one_good_result(stack, client, call_id, undisturbed)
    assert before["status"] in ("queued", "processing"), "it was over before anything died"


async def test_a_call_survives_the_death_of_the_api_right_after_its_201(
    stack: Stack,
    client: ApiClient,
    long_call: testdata.Recording,
    undisturbed: str,
    tmp_path: pathlib.Path,
) -> None:
    path = audio_files.write_unique(long_call.path, tmp_path / "call.wav", 70)
    call_id = await client.create_call(path)

    await stack.processes["api"].kill()
    await stack.processes["api"].start()

    await require_one_good_result(stack, client, call_id, undisturbed)


async def test_a_hundred_calls_survive_the_loss_of_the_whole_bus(
    stack: Stack,
    client: ApiClient,
    prompts: list[testdata.Recording],
    tmp_path: pathlib.Path,
) -> None:
    async def post(number: int) -> str:
        source = prompts[number % len(prompts)].path
        path = audio_files.write_unique(source, tmp_path / f"{number}.wav", 1000 + number)
        return await client.create_call(path, order_id=f"H-{number}")

    call_ids = await asyncio.gather(*(post(number) for number in range(100)))
    await waiting.wait_until(
        lambda: has_some_ended(client, call_ids), 60, "some of the calls have ended"
    )
    await stack.nats.wipe()

    ends = [await client.wait_for_end(call_id, 200) for call_id in call_ids]

    assert [call["status"] for call in ends] == ["completed"] * 100


async def has_some_ended(client: ApiClient, call_ids: list[str]) -> bool:
    answer = await client.get("/api/calls", status="completed", limit=200)
    ended = {call["id"] for call in answer.json()["items"]} & set(call_ids)
    return len(ended) >= 10
