"""A bare client of the Triton model: what goes over the wire, nothing of the worker in between."""

import asyncio
import contextlib
import itertools
import json
import pathlib
import re
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray
from parlance.contracts import tensors
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient

from devstack import waiting
from devstack.triton import TritonServer

Pcm = NDArray[np.int16]
Result = dict[str, Any]


class ModelClient:
    """Sends windows and reads results as plain dictionaries."""

    def __init__(self, grpc_url: str) -> None:
        self._client = InferenceServerClient(grpc_url)

    async def transcribe(
        self, pcm: Pcm, options: bytes | dict[str, Any] | None = None, **request: Any
    ) -> Result:
        """One window; `request` is passed on (priority, timeout, client_timeout)."""
        inputs = [_build_input(tensors.AUDIO_INPUT, pcm.reshape(1, -1), "INT16")]
        if options is not None:
            text = options if isinstance(options, bytes) else json.dumps(options).encode()
            value = np.array([[text]], dtype=np.object_)
            inputs.append(_build_input(tensors.OPTIONS_INPUT, value, "BYTES"))
        answer = await self._client.infer(tensors.MODEL_NAME, inputs, **request)
        assert answer is not None
        output = answer.as_numpy(tensors.RESULT_OUTPUT)
        assert output is not None
        assert output.shape == (1, 1)
        result: Result = json.loads(output[0, 0])
        return result

    async def transcribe_all(
        self, windows: Sequence[Pcm], options: dict[str, Any] | None = None
    ) -> list[Result]:
        """All windows at the same time, each told when it was sent."""
        return await asyncio.gather(
            *(
                self.transcribe(pcm, {**(options or {}), "sent_unix_seconds": time.time()})
                for pcm in windows
            )
        )

    async def ping(self) -> None:
        """An answer to a request that came behind all others of this client."""
        assert await self._client.is_server_live()

    async def close(self) -> None:
        """End the connection."""
        await self._client.close()


class Hold:
    """A batch that the stub engine holds; what comes meanwhile waits in Triton's queue."""

    def __init__(self, server: TritonServer, folder: pathlib.Path) -> None:
        self._server = server
        self._folder = folder

    @property
    def options(self) -> dict[str, Any]:
        """Of a window whose batch is to be held."""
        return {"prompt": f"hold {self._folder}"}

    async def wait_until_held(self) -> None:
        await waiting.wait_until((self._folder / "held").exists, 20, "the batch is held", 0.01)

    async def wait_for_queue(self, windows: int) -> None:
        """Until so many windows wait behind the batch."""

        async def is_so() -> bool:
            return await read_metric(self._server, "nv_inference_pending_request_count") == windows

        await waiting.wait_until(is_so, 20, f"{windows} windows wait")

    def release(self) -> None:
        (self._folder / "go").touch()


@contextlib.asynccontextmanager
async def hold_batch(
    server: TritonServer, client: ModelClient, folder: pathlib.Path
) -> AsyncIterator[Hold]:
    """A batch of one window is held until the block is left, or before."""
    hold = Hold(server, folder)
    first = asyncio.create_task(
        client.transcribe(make_noise(1, level=30), hold.options, priority=1)
    )
    try:
        await hold.wait_until_held()
        yield hold
    finally:
        hold.release()
        await first


async def read_metric(server: TritonServer, name: str, label: str = "") -> float:
    """Value of one of Triton's metrics for the model; `label` tells apart those of one name, as in
    `reason="CANCELED",`."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(server.metrics_url)).text
    pattern = rf'^{name}\{{model="{tensors.MODEL_NAME}",{re.escape(label)}version="1"\}} (\S+)$'
    found = re.search(pattern, text, re.MULTILINE)
    assert found is not None
    return float(found[1])


def cut_windows(pcm: Pcm, cuts_seconds: Sequence[float]) -> list[Pcm]:
    """The audio between neighbouring cuts."""
    cuts = [round(cut * tensors.SAMPLE_RATE_HZ) for cut in cuts_seconds]
    return [pcm[start:end] for start, end in itertools.pairwise(cuts)]


def make_noise(seconds: float, level: int, seed: int = 1) -> Pcm:
    """White noise; `level` is the standard deviation in int16 units."""
    samples = round(seconds * tensors.SAMPLE_RATE_HZ)
    noise = np.random.default_rng(seed).normal(0, level, samples)
    return noise.clip(-32768, 32767).astype(np.int16)


def _build_input(name: str, value: NDArray[Any], datatype: str) -> InferInput:
    tensor = InferInput(name, list(value.shape), datatype)
    if value.size:
        tensor.set_data_from_numpy(value)
    return tensor
