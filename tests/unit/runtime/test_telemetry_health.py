"""The metrics and health port, asked through a bare socket: in good order, and otherwise."""

import asyncio
import gc
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from parlance.runtime import telemetry
from parlance.runtime.settings import TelemetrySettings
from parlance.runtime.telemetry import Endpoint


@pytest.fixture
def problems() -> dict[str, str]:
    """What the readiness check finds."""
    return {}


@pytest.fixture
async def endpoint(problems: dict[str, str]) -> AsyncIterator[Endpoint]:
    async def find_problems() -> Mapping[str, str]:
        return problems

    async def find_none() -> Mapping[str, str]:
        return {}

    settings = TelemetrySettings(metrics_host="127.0.0.1", metrics_port=0)
    async with telemetry.serve_health(settings, live=find_none, ready=find_problems) as opened:
        yield opened


@pytest.fixture
async def complaints() -> list[dict[str, Any]]:
    """What the event loop was told that nobody has caught."""
    found: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: found.append(context))
    return found


async def ask(endpoint: Endpoint, request: bytes, *, is_cut: bool = False) -> bytes:
    """The whole answer. `is_cut`: nothing more will be sent, and the server is told so."""
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    writer.write(request)
    if is_cut:
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        (b"/health/live", b"200 OK", b'"status": "ok"'),
        (b"/health/ready", b"200 OK", b'"status": "ok"'),
        (b"/health/ready?verbose", b"200 OK", b'"status": "ok"'),
        (b"/metrics", b"200 OK", b"python_info"),
        (b"/elsewhere", b"404 Not Found", b"not found"),
    ],
)
async def test_a_request_is_answered(
    endpoint: Endpoint, path: bytes, status: bytes, words: bytes
) -> None:
    answer = await ask(endpoint, b"GET " + path + b" HTTP/1.1\r\nHost: pod\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 " + status)
    assert words in answer


async def test_a_problem_is_told_by_its_part(endpoint: Endpoint, problems: dict[str, str]) -> None:
    problems["bus"] = "not connected"

    answer = await ask(endpoint, b"GET /health/ready HTTP/1.1\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'{"bus": "not connected"}' in answer


@pytest.mark.parametrize(
    "request_bytes",
    [b"", b"GET /health/li", b"GET /health/live HTTP/1.1\r\nHost: pod\r\n"],
    ids=["nothing", "half a line", "half a head"],
)
async def test_a_probe_that_gives_up_in_mid_request_is_no_error(
    endpoint: Endpoint, complaints: list[dict[str, Any]], request_bytes: bytes
) -> None:
    answer = await ask(endpoint, request_bytes, is_cut=True)
    gc.collect()

    assert answer == b""
    assert complaints == []


@pytest.mark.parametrize("request_bytes", [b"\r\n\r\n", b"hello\r\n\r\n", b"\0\xff\r\n\r\n"])
async def test_what_is_no_request_is_refused_and_no_error(
    endpoint: Endpoint, complaints: list[dict[str, Any]], request_bytes: bytes
) -> None:
    answer = await ask(endpoint, request_bytes)
    gc.collect()

    assert answer.startswith(b"HTTP/1.1 400 Bad Request")
    assert complaints == []


async def test_a_head_without_an_end_is_given_up(
    endpoint: Endpoint, complaints: list[dict[str, Any]]
) -> None:
    answer = await ask(endpoint, b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, is_cut=True)
    gc.collect()

    assert answer == b""
    assert complaints == []


async def test_a_probe_that_hangs_up_at_once_is_no_error(
    endpoint: Endpoint, complaints: list[dict[str, Any]]
) -> None:
    for _ in range(20):
        _, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        writer.transport.abort()
    # Answered after those before it.
    await ask(endpoint, b"GET /health/live HTTP/1.1\r\n\r\n")
    gc.collect()

    assert complaints == []
