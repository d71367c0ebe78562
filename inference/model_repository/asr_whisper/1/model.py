"""The Triton model `asr_whisper`: tensors in, tensors out. Everything else is in `asr/`.

Triton's Python stub imports this file from the model repository and calls `TritonPythonModel`.
Every request gets exactly one response, an error response included; nothing is raised out of
`execute`, because that leaks the server's shared memory.
"""

import json
import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from asr import isolation, loading, selftest
from asr.config import STUB, parse_config
from asr.engine import Engine, Window
from asr.errors import AsrError, InvalidWindow, ModelFailed, WindowFailed
from asr.isolation import Outcome
from asr.options import parse_options
from asr.results import Timing, format_result
from asr.windows import check_audio


@dataclass(frozen=True)
class _Job:
    """A usable request: its place in the list from Triton, and the window it holds."""

    index: int
    window: Window


class TritonPythonModel:
    """One loaded model; Triton calls its methods from one thread."""

    _engine: Engine

    def initialize(self, args: dict[str, Any]) -> None:
        """Load and prove the model; raising here is how a model tells that it cannot start."""
        parameters = json.loads(args["model_config"]).get("parameters", {})
        defaults = {key: value["string_value"] for key, value in parameters.items()}
        config = parse_config(defaults, os.environ)
        if config.engine == STUB:
            pb_utils.Logger.log_warn("asr_whisper: the engine is a stub, every text is made up")
        self._engine = loading.load_engine(config)
        selftest.check(self._engine, os.environ)

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer all requests of one batch, in order."""
        started = time.time()
        responses: list[Any] = [None] * len(requests)
        jobs = []
        for index, request in enumerate(requests):
            try:
                jobs.append(_Job(index, self._parse(request)))
            except Exception as exc:  # noqa: BLE001 - see the module docstring
                responses[index] = _build_refusal(exc)
        outcomes = isolation.transcribe(self._engine, [job.window for job in jobs], _log_error)
        compute_us = int((time.time() - started) * 1_000_000)
        for job, outcome in zip(jobs, outcomes, strict=True):
            try:
                timing = Timing(_measure_queue_us(job.window, started), compute_us)
                responses[job.index] = self._build_response(outcome, timing)
            except Exception as exc:  # noqa: BLE001 - see the module docstring
                responses[job.index] = _build_refusal(exc)
        return responses

    def _parse(self, request: Any) -> Window:
        audio = pb_utils.get_input_tensor_by_name(request, "AUDIO").as_numpy()
        given = pb_utils.get_input_tensor_by_name(request, "OPTIONS")
        options = parse_options(given.as_numpy().reshape(-1)[0] if given else b"")
        self._engine.check(options)
        return Window(check_audio(audio), options, request.is_cancelled)

    def _build_response(self, outcome: Outcome, timing: Timing) -> Any:
        if outcome is None:
            return _build_error("cancelled", pb_utils.TritonError.CANCELLED)
        if isinstance(outcome, AsrError):
            return _build_refusal(outcome)
        result = format_result(outcome, timing, self._engine.name, self._engine.digest)
        # Shape [1, 1]: a batch of one, because Triton splits and joins batches itself.
        tensor = pb_utils.Tensor("RESULT", np.array([[result]], dtype=np.object_))
        return pb_utils.InferenceResponse(output_tensors=[tensor])


def _measure_queue_us(window: Window, started: float) -> int:
    sent = window.options.sent_unix_seconds
    return 0 if sent is None else max(0, int((started - sent) * 1_000_000))


def _build_refusal(exc: Exception) -> Any:
    """INVALID_ARG for what no other try changes; whatever else went wrong, the server may mend."""
    if isinstance(exc, InvalidWindow | WindowFailed):
        return _build_error(str(exc), pb_utils.TritonError.INVALID_ARG)
    if not isinstance(exc, AsrError):
        _log_error(f"a request failed: {exc!r}")
    return _build_error(str(ModelFailed()), pb_utils.TritonError.INTERNAL)


def _build_error(text: str, code: int) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(text, code))


def _log_error(text: str) -> None:
    pb_utils.Logger.log_error(f"asr_whisper: {text}")
