"""Triton's queue and batches in front of the model: who waits, who overtakes, who is left out.

The engine is the stub, which holds a batch for as long as a test wants; all else is real.
"""

import asyncio
import json
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from parlance.contracts import tensors
from parlance.inference.asr import canary
from parlance.inference.settings import AsrSettings
from tritonclient.utils import InferenceServerException

from devstack import triton
from tests.integration import triton_client
from tests.integration.triton_client import Hold, ModelClient, Result, make_noise

pytestmark = pytest.mark.asyncio(loop_scope="module")

Options = bytes | dict[str, Any]

BATCH_WINDOWS = 8
QUEUE_WINDOWS = 64
WINDOW = make_noise(1, level=30)


@pytest_asyncio.fixture(loop_scope="module")
async def client(stub_triton: triton.TritonServer) -> AsyncIterator[ModelClient]:
    connected = ModelClient(stub_triton.grpc_url)
    yield connected
    await connected.close()


@pytest_asyncio.fixture(loop_scope="module")
async def hold(
    stub_triton: triton.TritonServer, client: ModelClient, tmp_path: pathlib.Path
) -> AsyncIterator[Hold]:
    """A batch of one window that the model is at."""
    async with triton_client.hold_batch(stub_triton, client, tmp_path) as held:
        yield held


@pytest.fixture
def second_hold(stub_triton: triton.TritonServer, tmp_path: pathlib.Path) -> Hold:
    """For a batch that is formed while the first one is held."""
    folder = tmp_path / "second"
    folder.mkdir()
    return Hold(stub_triton, folder)


def send(
    client: ModelClient, count: int, lane: str = "standard", options: Options | None = None
) -> list[asyncio.Task[Result]]:
    priority = tensors.PRIORITY_LEVELS[lane]
    return [
        asyncio.create_task(client.transcribe(WINDOW, options or {}, priority=priority))
        for _ in range(count)
    ]


async def gather(tasks: list[asyncio.Task[Result]]) -> list[Result | BaseException]:
    return await asyncio.gather(*tasks, return_exceptions=True)


async def cancel(client: ModelClient, tasks: list[asyncio.Task[Result]]) -> None:
    """And return when the server has been told: a later request has its answer."""
    for task in tasks:
        task.cancel()
    await gather(tasks)
    await client.ping()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prompt": "fail"}, "the model fails on this window (RuntimeError)"),
        (b"[" * 100_000, "OPTIONS is not JSON"),
    ],
    ids=["decoding", "reading"],
)
async def test_a_bad_window_fails_alone(
    client: ModelClient, hold: Hold, options: Options, words: str
) -> None:
    good, bad = send(client, BATCH_WINDOWS - 1), send(client, 1, options=options)
    await hold.wait_for_queue(BATCH_WINDOWS)
    hold.release()

    answers, (failed,) = await gather(good), await gather(bad)

    assert [isinstance(answer, dict) and bool(answer["text"]) for answer in answers] == [True] * 7
    assert isinstance(failed, InferenceServerException)
    assert failed.status() == "StatusCode.INVALID_ARGUMENT"
    assert words in failed.message()


async def test_a_full_queue_refuses_at_once(client: ModelClient, hold: Hold) -> None:
    waiting = send(client, QUEUE_WINDOWS)
    await hold.wait_for_queue(QUEUE_WINDOWS)

    (refused,) = await gather(send(client, 1))

    assert isinstance(refused, InferenceServerException)
    assert refused.status() == "StatusCode.UNAVAILABLE"
    assert "Exceeds maximum queue size" in refused.message()
    hold.release()
    assert all(isinstance(answer, dict) for answer in await gather(waiting))


async def test_each_priority_has_a_queue_of_its_own(client: ModelClient, hold: Hold) -> None:
    bulk = send(client, QUEUE_WINDOWS, "bulk")
    await hold.wait_for_queue(QUEUE_WINDOWS)
    interactive = send(client, 1, "interactive")
    await hold.wait_for_queue(QUEUE_WINDOWS + 1)
    hold.release()

    assert all(isinstance(answer, dict) for answer in await gather(bulk + interactive))


async def test_the_canary_calls_a_full_queue_alive(
    stub_triton: triton.TritonServer,
    client: ModelClient,
    hold: Hold,
    capsys: pytest.CaptureFixture[str],
) -> None:
    waiting = send(client, QUEUE_WINDOWS, "interactive")
    await hold.wait_for_queue(QUEUE_WINDOWS)

    status = await canary.run_canary(AsrSettings(triton_url=stub_triton.grpc_url))

    assert json.loads(capsys.readouterr().out) == {"ok": True, "busy": True}
    assert status == 0
    hold.release()
    await gather(waiting)


async def test_the_canary_calls_a_silent_model_dead(
    stub_triton: triton.TritonServer, hold: Hold
) -> None:
    settings = AsrSettings(triton_url=stub_triton.grpc_url, triton_timeout_seconds=1)

    assert await canary.run_canary(settings) == 1


async def test_windows_go_to_the_model_by_priority_whenever_they_came(
    client: ModelClient, hold: Hold
) -> None:
    finished: list[str] = []
    tasks: list[asyncio.Task[None]] = []
    for lane, waiting in (("bulk", 16), ("standard", 24), ("interactive", 32)):
        tasks += [
            asyncio.create_task(_note_end(task, lane, finished))
            for task in send(client, waiting - len(tasks), lane)
        ]
        await hold.wait_for_queue(waiting)
    hold.release()
    await asyncio.gather(*tasks)

    assert finished == ["interactive"] * 8 + ["standard"] * 8 + ["bulk"] * 16


async def _note_end(task: asyncio.Task[Result], lane: str, finished: list[str]) -> None:
    await task
    finished.append(lane)


async def test_a_window_that_is_cancelled_in_the_queue_is_not_decoded_and_takes_no_place(
    stub_triton: triton.TritonServer, client: ModelClient, hold: Hold
) -> None:
    decoded_before = await triton_client.read_metric(stub_triton, "nv_inference_count")
    dropped, wanted = send(client, 8), send(client, 8)
    await hold.wait_for_queue(16)
    await cancel(client, dropped)
    hold.release()

    answers = await gather(wanted)

    assert [isinstance(answer, dict) and answer["batch"] for answer in answers] == [8] * 8
    decoded = await triton_client.read_metric(stub_triton, "nv_inference_count") - decoded_before
    assert decoded == 1 + 8


async def test_a_window_that_is_cancelled_in_its_batch_is_not_decoded_and_harms_no_other(
    client: ModelClient, hold: Hold, second_hold: Hold
) -> None:
    wanted = send(client, 1, options=second_hold.options) + send(client, 4)
    dropped = send(client, 3)
    await hold.wait_for_queue(BATCH_WINDOWS)
    hold.release()
    await second_hold.wait_until_held()
    await cancel(client, dropped)
    second_hold.release()

    answers = await gather(wanted)

    assert [isinstance(answer, dict) and answer["batch"] for answer in answers] == [5] * 5


async def test_a_window_that_waits_too_long_is_refused_and_not_decoded(
    stub_triton: triton.TritonServer, client: ModelClient, hold: Hold
) -> None:
    decoded_before = await triton_client.read_metric(stub_triton, "nv_inference_count")
    late = asyncio.create_task(client.transcribe(WINDOW, {}, timeout=100_000))
    (refused,) = await gather([late])

    assert isinstance(refused, InferenceServerException)
    assert refused.status() == "StatusCode.UNAVAILABLE"
    hold.release()
    await client.transcribe(WINDOW, {})
    decoded = await triton_client.read_metric(stub_triton, "nv_inference_count") - decoded_before
    assert decoded == 1 + 1
