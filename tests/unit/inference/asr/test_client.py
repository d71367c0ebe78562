import json
import socket
from collections.abc import AsyncIterator

import grpc
import numpy as np
import pytest
from parlance.contracts.calls import Priority
from parlance.contracts.tensors import AsrOptions
from parlance.inference.asr import client
from parlance.inference.asr.client import TritonTranscriber
from parlance.inference.asr.errors import AsrBusy, AsrFaulted, AsrRejected, AsrUnavailable
from parlance.inference.asr.transcriber import WindowRequest
from parlance.inference.settings import AsrSettings

from tests.unit.inference.asr import fakes
from tests.unit.inference.asr.fakes import FakeTriton

_PCM = np.arange(1600, dtype=np.int16)


@pytest.fixture
def triton() -> FakeTriton:
    return FakeTriton()


@pytest.fixture
async def transcriber(triton: FakeTriton) -> AsyncIterator[TritonTranscriber]:
    async with (
        fakes.serve(triton) as url,
        client.open_triton(AsrSettings(triton_url=url, triton_timeout_seconds=5)) as opened,
    ):
        yield opened


def _request(priority: Priority = Priority.BULK) -> WindowRequest:
    return WindowRequest(
        pcm=_PCM, options=AsrOptions(language="en"), priority=priority, request_id="call/3"
    )


async def test_a_window_goes_out_as_the_model_wants_it(
    transcriber: TritonTranscriber, triton: FakeTriton
) -> None:
    await transcriber.transcribe(_request())

    (sent,) = triton.requests
    audio, options = sent.inputs
    assert (audio.name, audio.datatype, list(audio.shape)) == ("AUDIO", "INT16", [1, 1600])
    assert sent.raw_input_contents[0] == _PCM.tobytes()
    assert options.name == "OPTIONS"
    given = json.loads(sent.raw_input_contents[1][4:])
    assert given["language"] == "en"
    assert given["sent_unix_seconds"] > 1e9
    assert sent.id == "call/3"


async def test_a_proxy_for_the_way_out_is_not_asked_for_a_neighbour(
    triton: FakeTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("grpc_proxy", "https_proxy", "no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, but nobody listens
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        async with (
            fakes.serve(triton) as url,
            client.open_triton(AsrSettings(triton_url=url, triton_timeout_seconds=5)) as opened,
        ):
            await opened.transcribe(_request())

    assert len(triton.requests) == 1


@pytest.mark.parametrize(
    ("priority", "level"), [(Priority.INTERACTIVE, 1), (Priority.STANDARD, 2), (Priority.BULK, 3)]
)
async def test_the_lane_becomes_the_model_servers_priority(
    transcriber: TritonTranscriber, triton: FakeTriton, priority: Priority, level: int
) -> None:
    await transcriber.transcribe(_request(priority))

    assert triton.requests[0].parameters["priority"].uint64_param == level


async def test_the_result_is_typed_and_tells_the_model(transcriber: TritonTranscriber) -> None:
    result = await transcriber.transcribe(_request())
    model = await transcriber.identify()

    assert (result.text, result.batch) == ("hello", 3)
    assert (model.name, model.hash, model.runtime) == ("tiny.en", "abc", "triton")


async def test_a_front_end_that_cuts_differently_has_a_hash_of_its_own(triton: FakeTriton) -> None:
    hashes = []
    async with fakes.serve(triton) as url:
        settings = AsrSettings(triton_url=url, triton_timeout_seconds=5)
        for front_end in ("29 s", "15 s"):
            async with client.open_triton(settings, front_end=front_end) as transcriber:
                result = await transcriber.transcribe(_request())
                assert result.model_hash == (await transcriber.identify()).hash
                hashes.append(result.model_hash)

    assert len({*hashes, "abc"}) == 3


async def test_the_model_is_asked_once_who_it_is(
    transcriber: TritonTranscriber, triton: FakeTriton
) -> None:
    await transcriber.identify()
    await transcriber.identify()

    assert len(triton.requests) == 1


async def test_after_a_failure_the_model_is_asked_again_who_it_is(
    transcriber: TritonTranscriber, triton: FakeTriton
) -> None:
    await transcriber.identify()
    triton.failure = (grpc.StatusCode.UNAVAILABLE, "gone")
    with pytest.raises(AsrUnavailable):
        await transcriber.transcribe(_request())
    triton.failure = None
    triton.answer = json.dumps(fakes.RESULT | {"model_hash": "def"}).encode()

    assert (await transcriber.identify()).hash == "def"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, AsrUnavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, AsrBusy),
        (grpc.StatusCode.DEADLINE_EXCEEDED, AsrUnavailable),
        (grpc.StatusCode.INTERNAL, AsrFaulted),
        (grpc.StatusCode.UNKNOWN, AsrFaulted),
        (grpc.StatusCode.INVALID_ARGUMENT, AsrRejected),
    ],
)
async def test_every_status_means_wait_or_give_up(
    transcriber: TritonTranscriber,
    triton: FakeTriton,
    status: grpc.StatusCode,
    expected: type[Exception],
) -> None:
    triton.failure = (status, "why")

    with pytest.raises(expected) as raised:
        await transcriber.transcribe(_request())

    assert type(raised.value) is expected


async def test_a_full_queue_is_told_from_an_absent_server(
    transcriber: TritonTranscriber, triton: FakeTriton
) -> None:
    triton.failure = fakes.FULL_QUEUE

    with pytest.raises(AsrBusy):
        await transcriber.transcribe(_request())


async def test_an_empty_answer_is_a_fault_not_silence(
    transcriber: TritonTranscriber, triton: FakeTriton
) -> None:
    triton.answer = None

    with pytest.raises(AsrFaulted, match="empty"):
        await transcriber.transcribe(_request())


async def test_an_answer_outside_the_contract_is_a_fault(
    transcriber: TritonTranscriber, triton: FakeTriton
) -> None:
    triton.answer = b'{"words": 3}'

    with pytest.raises(AsrFaulted, match="contract"):
        await transcriber.transcribe(_request())


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    settings = AsrSettings(triton_url="127.0.0.1:9", triton_timeout_seconds=2)
    async with client.open_triton(settings) as transcriber:
        with pytest.raises(AsrUnavailable):
            await transcriber.transcribe(_request())


async def test_the_canary_is_always_the_same_quiet_second() -> None:
    assert np.array_equal(client.build_canary(), client.build_canary())
    assert client.build_canary().shape == (16_000,)
    assert np.abs(client.build_canary()).max() <= 20
