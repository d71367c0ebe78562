"""A file of 500 MB: flat memory everywhere on its way."""

import asyncio
import contextlib
import pathlib

import psutil
import pytest

from devstack import testdata, waiting
from devstack.api_client import ApiClient
from devstack.stack import Stack
from tests.e2e import observing

pytestmark = pytest.mark.asyncio(loop_scope="session")

SIZE_BYTES = 500_000_000
MAX_API_GROWTH_BYTES = 64 << 20
MAX_WORKER_BYTES = 400 << 20


class PeakMemory:
    """Samples the resident memory of a process and its children while the block runs."""

    def __init__(self, pid: int, *, children: bool) -> None:
        self._process = psutil.Process(pid)
        self._children = children
        self.start_bytes = self._now()
        self.peak_bytes = self.start_bytes

    async def __aenter__(self) -> "PeakMemory":
        self._task = asyncio.create_task(self._sample())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._task.cancel()

    @property
    def growth_bytes(self) -> int:
        return self.peak_bytes - self.start_bytes

    def _now(self) -> int:
        processes = [self._process]
        if self._children:
            processes += self._process.children(recursive=True)
        total = 0
        for process in processes:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total

    async def _sample(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, self._now())
            await asyncio.sleep(0.05)


async def test_500_megabytes_go_through_in_flat_memory_and_can_be_cancelled(
    stack: Stack, client: ApiClient, tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "big.wav"
    await testdata.write_big_wav(path, SIZE_BYTES)

    api = PeakMemory(stack.processes["api"].pid, children=True)
    async with api:
        call_id = await client.create_call(path)
    worker = PeakMemory(stack.processes["worker"].pid, children=True)
    async with worker:
        async with asyncio.timeout(120):
            async with contextlib.aclosing(client.follow(call_id)) as events:
                async for event in events:
                    if event.data.get("data", {}).get("processed_seconds", 0) > 180:
                        break
                else:
                    pytest.fail("the stream ended before three minutes were transcribed")
        answer = await client.delete(f"/api/calls/{call_id}")

    assert answer.status_code in (200, 202, 204)
    assert api.growth_bytes < MAX_API_GROWTH_BYTES
    assert worker.peak_bytes < MAX_WORKER_BYTES
    await waiting.wait_until(
        lambda: not [key for key in observing.list_objects(stack) if call_id in key],
        60,
        "nothing of the call is left in the store",
    )
