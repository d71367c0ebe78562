"""Alive is who answers: with a result, or that the queue is full. Silence and faults are not."""

import json
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
from parlance.contracts.calls import Priority
from parlance.contracts.tensors import AsrOptions
from parlance.inference.asr import canary, client
from parlance.inference.asr.canary import ModelHealth
from parlance.inference.asr.client import TritonTranscriber
from parlance.inference.asr.transcriber import WindowRequest
from parlance.inference.settings import AsrSettings

from tests.unit.inference.asr import fakes
from tests.unit.inference.asr.fakes import FakeTriton

REQUEST = WindowRequest(
    pcm=np.arange(1600, dtype=np.int16),
    options=AsrOptions(language="en"),
    priority=Priority.BULK,
    request_id="call/3",
)
DEAD = (grpc.StatusCode.INTERNAL, "Stub process is not healthy")


@pytest.fixture
def triton() -> FakeTriton:
    return FakeTriton()


@pytest.fixture
async def settings(triton: FakeTriton) -> AsyncIterator[AsrSettings]:
    async with fakes.serve(triton) as url:
        yield AsrSettings(triton_url=url, triton_timeout_seconds=5)


@pytest.fixture
async def transcriber(settings: AsrSettings) -> AsyncIterator[TritonTranscriber]:
    async with client.open_triton(settings) as opened:
        yield opened


def _health(transcriber: TritonTranscriber, *, fresh_seconds: float) -> ModelHealth:
    return ModelHealth(transcriber, fresh_seconds=fresh_seconds, timeout_seconds=2)


async def test_real_work_is_proof_enough(
    transcriber: TritonTranscriber, triton: FakeTriton
) -> None:
    await transcriber.transcribe(REQUEST)

    assert await _health(transcriber, fresh_seconds=60).find_problem() is None
    assert len(triton.requests) == 1


async def test_an_idle_model_is_tried(transcriber: TritonTranscriber, triton: FakeTriton) -> None:
    assert await _health(transcriber, fresh_seconds=0).find_problem() is None
    assert triton.requests[0].id == "canary"


async def test_a_dead_model_behind_a_living_server_is_a_problem(
    transcriber: TritonTranscriber, triton: FakeTriton
) -> None:
    triton.failure = DEAD

    problem = await _health(transcriber, fresh_seconds=0).find_problem()

    assert problem is not None
    assert "Stub process" in problem


@pytest.mark.parametrize(
    "failure", [fakes.FULL_QUEUE, (grpc.StatusCode.RESOURCE_EXHAUSTED, "too many")]
)
async def test_a_full_queue_is_no_problem(
    transcriber: TritonTranscriber, triton: FakeTriton, failure: tuple[grpc.StatusCode, str]
) -> None:
    triton.failure = failure

    assert await _health(transcriber, fresh_seconds=0).find_problem() is None


async def test_the_command_tells_which_model_answers(
    settings: AsrSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await canary.run_canary(settings) == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["model"], told["hash"]) == (True, "tiny.en", "abc")


async def test_the_command_calls_a_full_queue_alive_and_busy(
    settings: AsrSettings, triton: FakeTriton, capsys: pytest.CaptureFixture[str]
) -> None:
    triton.failure = fakes.FULL_QUEUE

    assert await canary.run_canary(settings) == 0
    assert json.loads(capsys.readouterr().out) == {"ok": True, "busy": True}


@pytest.mark.parametrize(
    "failure",
    [
        DEAD,
        (grpc.StatusCode.UNAVAILABLE, "Request timeout expired"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "silence"),
        (grpc.StatusCode.INVALID_ARGUMENT, "another model"),
    ],
)
async def test_the_command_calls_faults_and_silence_dead(
    settings: AsrSettings,
    triton: FakeTriton,
    capsys: pytest.CaptureFixture[str],
    failure: tuple[grpc.StatusCode, str],
) -> None:
    triton.failure = failure

    assert await canary.run_canary(settings) == 1
    assert failure[1] in json.loads(capsys.readouterr().out)["error"]
