"""Triton over gRPC: one long-lived client for all calls of the worker.

One request is one window and one try; who waits for how long is the worker's business
(`engine.patience`). Opened by `wiring`.
"""

import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import numpy as np
from numpy.typing import NDArray
from parlance.contracts import tensors
from parlance.contracts.calls import ModelInfo, Priority
from parlance.contracts.tensors import AsrOptions, AsrWindow
from parlance.inference.asr import metrics
from parlance.inference.asr.errors import AsrBusy, AsrFaulted, AsrRejected, AsrUnavailable
from parlance.inference.asr.transcriber import WindowRequest
from parlance.inference.settings import AsrSettings
from pydantic import ValidationError
from tritonclient.grpc import InferInput, InferRequestedOutput, InferResult
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

_RUNTIME = "triton"
_CANARY_SECONDS = 1.0
_MAX_MESSAGE_BYTES = 8 << 20
_CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
    # gRPC's own back-off grows to two minutes; a restarted model server is back in ten seconds.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A frozen server is noticed by pings, not by the deadline of a window.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # Triton is a neighbour in the cluster; a proxy for the way out, set by http_proxy, cannot
    # reach it.
    ("grpc.enable_http_proxy", 0),
]
_REFUSALS = {"INVALID_ARGUMENT", "OUT_OF_RANGE"}
_ABSENCES = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "NOT_FOUND"}
_FULL_QUEUE = "Exceeds maximum queue size"
"""How Triton words it. It has the same status for a server that is away."""


@asynccontextmanager
async def open_triton(
    settings: AsrSettings, *, front_end: str = ""
) -> AsyncIterator["TritonTranscriber"]:
    """A client that needs no server to be there yet.

    `front_end` names how windows are cut (`FrontEndOptions.fingerprint`). It becomes part of the
    model's hash, since a window's number means nothing to a worker that cuts differently.
    """
    client = InferenceServerClient(settings.triton_url, channel_args=_CHANNEL_OPTIONS)
    try:
        yield TritonTranscriber(
            client, timeout_seconds=settings.triton_timeout_seconds, front_end=front_end
        )
    finally:
        await client.close()


class TritonTranscriber:
    """`Transcriber` over the model `asr_whisper`."""

    def __init__(
        self, client: InferenceServerClient, *, timeout_seconds: float, front_end: str = ""
    ) -> None:
        self._client = client
        self._front_end = front_end
        self._timeout_seconds = timeout_seconds
        self._model: ModelInfo | None = None
        self._answered_at: float | None = None

    @property
    def seconds_since_answer(self) -> float:
        """How long ago the model last gave a result; infinite before the first."""
        return float("inf") if self._answered_at is None else time.monotonic() - self._answered_at

    async def identify(self) -> ModelInfo:
        """The model's identity, from its own answer; asked again after every failure."""
        if self._model is None:
            await self.check()
        if self._model is None:
            raise AsrFaulted("the model gives no name and hash of itself")
        return self._model

    async def check(self, timeout_seconds: float | None = None) -> AsrWindow:
        """A real inference on a second of near silence: after the model's process dies, the
        server's own readiness still says that all is well."""
        request = WindowRequest(
            pcm=build_canary(),
            options=AsrOptions(language="auto"),
            priority=Priority.INTERACTIVE,
            request_id="canary",
        )
        return await self._infer(request, timeout_seconds or self._timeout_seconds)

    async def transcribe(self, request: WindowRequest) -> AsrWindow:
        started = time.perf_counter()
        result = await self._infer(request, self._timeout_seconds)
        metrics.observe_window(request, result, time.perf_counter() - started)
        return result

    async def _infer(self, request: WindowRequest, timeout_seconds: float) -> AsrWindow:
        try:
            answer = await self._client.infer(
                tensors.MODEL_NAME,
                _build_inputs(request),
                outputs=[InferRequestedOutput(tensors.RESULT_OUTPUT)],
                request_id=request.request_id,
                priority=tensors.PRIORITY_LEVELS[request.priority],
                # The server drops what waits longer in its queue; nobody would read the answer.
                timeout=int(timeout_seconds * 1_000_000),
                client_timeout=timeout_seconds,
            )
            result = self._sign(_parse_result(answer))
        except InferenceServerException as exc:
            error = _translate(exc)
            if not isinstance(error, AsrBusy):
                self._model = None
            raise error from exc
        except grpc.RpcError as exc:
            self._model = None
            raise AsrUnavailable(str(exc)) from exc
        self._answered_at = time.monotonic()
        self._model = ModelInfo(name=result.model, hash=result.model_hash, runtime=_RUNTIME)
        return result

    def _sign(self, result: AsrWindow) -> AsrWindow:
        """The result under the hash of model and front end together."""
        if not self._front_end or not result.model_hash:
            return result
        both = f"{result.model_hash} {self._front_end}"
        return result.model_copy(update={"model_hash": hashlib.sha256(both.encode()).hexdigest()})


def build_canary() -> NDArray[np.int16]:
    """A second of quiet noise, always the same."""
    generator = np.random.default_rng(0)
    samples = int(_CANARY_SECONDS * tensors.SAMPLE_RATE_HZ)
    return generator.integers(-20, 20, samples, dtype=np.int16)


def _build_inputs(request: WindowRequest) -> list[InferInput]:
    audio = InferInput(tensors.AUDIO_INPUT, [1, request.pcm.size], "INT16")
    audio.set_data_from_numpy(request.pcm.reshape(1, -1))
    options = InferInput(tensors.OPTIONS_INPUT, [1, 1], "BYTES")
    stamped = request.options.model_copy(update={"sent_unix_seconds": time.time()})
    text = stamped.model_dump_json().encode()
    options.set_data_from_numpy(np.array([[text]], dtype=np.object_))
    return [audio, options]


def _parse_result(answer: InferResult | None) -> AsrWindow:
    tensor = None if answer is None else answer.as_numpy(tensors.RESULT_OUTPUT)
    if tensor is None or tensor.size == 0:
        # Seen with numpy 2 inside Triton 2.51: every output tensor arrives empty, without error.
        raise AsrFaulted("the model's answer is empty")
    try:
        return AsrWindow.model_validate_json(tensor.reshape(-1)[0])
    except ValidationError as exc:
        raise AsrFaulted("the model's answer does not fit the contract") from exc


def _translate(exc: InferenceServerException) -> AsrUnavailable | AsrRejected:
    status = (exc.status() or "").removeprefix("StatusCode.")
    detail = f"{status} {exc.message()}"
    if status in _REFUSALS:
        return AsrRejected(detail)
    if status == "RESOURCE_EXHAUSTED" or _FULL_QUEUE in exc.message():
        return AsrBusy(detail)
    if status in _ABSENCES:
        return AsrUnavailable(detail)
    return AsrFaulted(detail)
