"""The API as a process of its own: curl's requests of the contract, and a clean end."""

import asyncio
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import uuid

import httpx
from parlance.api.db import session
from parlance.api.settings import Settings

from devstack import ports, process
from devstack.process import ServerProcess
from tests.integration.api_web import support


def build_command(
    settings: Settings, port: int, folder: pathlib.Path, *before: str
) -> process.Command:
    """`before`: what starts the process, if it does not start by itself."""
    assert settings.kube.kubeconfig is not None
    return process.Command(
        name="api",
        argv=[*before, sys.executable, "-m", "parlance.api", "serve"],
        log_path=folder / "api.log",
        environment={
            "PARLANCE_DATABASE_URL": settings.database.database_url.get_secret_value(),
            "PARLANCE_NATS_URL": settings.bus.nats_url,
            "PARLANCE_STORE_URL": settings.store.store_url,
            "PARLANCE_HTTP_HOST": "127.0.0.1",
            "PARLANCE_HTTP_PORT": str(port),
            "PARLANCE_METRICS_HOST": "127.0.0.1",
            "PARLANCE_METRICS_PORT": "0",
            "KUBECONFIG": str(settings.kube.kubeconfig),
        },
    )


async def is_ready(port: int) -> bool:
    try:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"http://127.0.0.1:{port}/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def run_curl(*arguments: str) -> dict[str, object]:
    running = await asyncio.create_subprocess_exec(
        "curl", "-sS", *arguments, stdout=subprocess.PIPE, env={**os.environ, "no_proxy": "*"}
    )
    output, _ = await running.communicate()
    found: dict[str, object] = json.loads(output)
    return found


async def test_the_contracts_curl_works_and_the_process_ends_while_a_stream_is_open(
    settings: Settings, tmp_path: pathlib.Path
) -> None:
    port = ports.find_free_port()
    recording = tmp_path / "call.mp3"
    recording.write_bytes(support.make_audio("mp3"))
    async with session.open_database(settings.database) as database:
        acme = await support.add_account(database, "acme")
        user_id = await support.add_user(database, acme, "EXT-456")
    command = build_command(settings, port, tmp_path)

    async with process.open_server(command, lambda: is_ready(port)) as server:
        answer = await run_curl(
            "-X", "POST",
            "-F", f"api_key={acme.key}",
            "-F", f"call=@{recording}",
            "-F", "customer_name=Acme Corp",
            "-F", f"user_id={user_id}",
            "-F", "extension_id=EXT-456",
            "-F", "order_id=ORD-789",
            f"http://127.0.0.1:{port}/api/add-calls",
        )  # fmt: skip
        seconds, status = await _stop_with_open_stream(server, port, acme.key, answer)

    assert answer.keys() == {
        "success", "call_id", "message", "audio_url", "duration_seconds", "processing_time_ms",
    }  # fmt: skip
    assert uuid.UUID(str(answer["call_id"]))
    assert status == 0
    assert seconds < 5


async def _stop_with_open_stream(
    server: ServerProcess, port: int, key: str, answer: dict[str, object]
) -> tuple[float, int]:
    """Seconds until the process had ended, and its exit status."""
    url = f"http://127.0.0.1:{port}/api/calls/{answer['call_id']}/events"
    async with (
        httpx.AsyncClient(trust_env=False) as client,
        client.stream("GET", url, headers={"X-Api-Key": key}) as response,
    ):
        lines = response.aiter_lines()
        while not (await anext(lines)).startswith("event: snapshot"):
            pass
        started = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        async for _ in lines:
            pass
        assert server._process is not None
        status = await asyncio.to_thread(server._process.wait)
    return time.monotonic() - started, status


async def test_without_a_sandbox_uploads_are_refused_for_now_and_health_says_why(
    settings: Settings, tmp_path: pathlib.Path
) -> None:
    port = ports.find_free_port()
    async with session.open_database(settings.database) as database:
        acme = await support.add_account(database, "acme")
    without_seccomp = [sys.executable, "-m", "tests.old_kernel"]
    command = build_command(settings, port, tmp_path, *without_seccomp)

    async with (
        process.open_server(command, lambda: is_ready(port)),
        httpx.AsyncClient(trust_env=False, base_url=f"http://127.0.0.1:{port}") as client,
    ):
        ready = (await client.get("/health/ready")).json()
        answer = await client.post(
            "/api/add-calls",
            data={"api_key": acme.key},
            files={"call": ("a.wav", support.make_wav(seed=1))},
        )

    assert (answer.status_code, support.problem_of(answer)) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 30
    assert ready["status"] == "degraded"
    assert ready["parts"]["decoder"] == "the decoder's sandbox lacks seccomp"
    assert not [path for path in (tmp_path / "objects").rglob("*") if path.is_file()]
