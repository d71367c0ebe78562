"""What probes and people see of a worker and its model."""

import asyncio
import json
import os
import signal
import sys

import httpx
from parlance.contracts.bus.calls import EventType

from devstack import nats_server, testdata, triton, waiting
from tests.integration.worker.rig import Rig


async def _get(url: str) -> tuple[int, str]:
    async with httpx.AsyncClient(timeout=20) as client:
        response = await client.get(url)
    return response.status_code, response.text


async def _run_canary(rig: Rig) -> tuple[int, dict[str, object]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "parlance.inference", "canary"),
        env={**os.environ, **rig.environment, "PARLANCE_TRITON_TIMEOUT_SECONDS": "15"},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, json.loads(output)


async def test_a_worker_is_ready_with_a_bus_and_a_model_and_says_what_it_lacks(
    rig: Rig, nats: nats_server.NatsServer
) -> None:
    async with rig.worker("a") as worker:
        assert await _get(f"{worker.url}/health/live") == (200, '{"status": "ok", "problems": {}}')
        assert (await _get(f"{worker.url}/health/ready"))[0] == 200

        await nats.process.kill()

        async def is_unready() -> bool:
            status, body = await _get(f"{worker.url}/health/ready")
            return status == 503 and "bus" in json.loads(body)["problems"]

        await waiting.wait_until(is_unready, 30, "the worker misses its bus")
        assert (await _get(f"{worker.url}/health/live"))[0] == 200
        await nats.process.start()


async def test_a_worker_without_a_sandbox_says_why_and_leaves_calls_to_others(rig: Rig) -> None:
    without_seccomp = [sys.executable, "-m", "tests.old_kernel"]
    async with rig.worker("a", *without_seccomp, awaits="live") as worker:
        call_id = await rig.submit((await testdata.fetch_two_cities()).path)
        status, body = await _get(f"{worker.url}/health/ready")
        async with rig.worker("b"):
            await rig.wait_for(call_id, EventType.ANALYZED)

    reason = "the decoder's sandbox lacks seccomp"
    assert (status, json.loads(body)["problems"]["decoder"]) == (503, reason)
    assert rig.events.of(call_id, EventType.RETRYING) == []


async def test_the_canary_tells_a_dead_model_behind_a_living_server(
    rig: Rig, stub_triton: triton.TritonServer
) -> None:
    status, report = await _run_canary(rig)
    assert (status, report["ok"]) == (0, True)
    assert report["hash"]

    for pid in stub_triton.list_model_pids():
        os.kill(pid, signal.SIGKILL)
    try:
        server_says = await _get(f"{stub_triton.http_url}/v2/health/ready")
        status, report = await _run_canary(rig)
    finally:
        await stub_triton.process.restart()

    assert server_says[0] == 200  # which is why there is a canary
    assert (status, report["ok"]) == (1, False)


async def test_metrics_tell_windows_batches_and_stages(rig: Rig) -> None:
    async with rig.worker("a") as worker:
        call_id = await rig.submit((await testdata.fetch_two_cities()).path)
        await rig.wait_for(call_id, EventType.ANALYZED)
        _, body = await _get(f"{worker.url}/metrics")

    values = dict(line.rsplit(" ", 1) for line in body.splitlines() if not line.startswith("#"))
    windows = len(rig.events.windows_of(call_id))
    assert float(values['parlance_asr_windows_total{guard="ok"}']) == windows
    assert float(values["parlance_worker_audio_seconds_total"]) > 44
    assert float(values['parlance_worker_stage_seconds_count{stage="transcribe"}']) == 1
    assert float(values["parlance_worker_first_segment_seconds_count"]) == 1
    assert float(values["parlance_asr_batch_windows_count"]) == windows
