"""The public page's own commands, word for word but for its placeholders."""

import asyncio
import functools
import http.server
import json
import pathlib
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from devstack import audio_files, testdata, wer
from devstack.api_client import ApiClient
from devstack.audio_files import MediaFormat
from devstack.stack import Stack
from tests.e2e import observing

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("speech")]

SEED_MEMBERS = {
    "success": bool,
    "call_id": str,
    "message": str,
    "audio_url": str,
    "duration_seconds": int,
    "processing_time_ms": int,
}


async def run_curl(*words: str) -> tuple[int, Any]:
    started = await asyncio.create_subprocess_exec(
        "curl", *words, "-s", "-w", "\n%{http_code}", stdout=asyncio.subprocess.PIPE
    )
    output, _ = await started.communicate()
    body, _, status = output.decode().rpartition("\n")
    return int(status), json.loads(body)


@pytest.fixture
def web_server(two_cities: testdata.Recording) -> Iterator[str]:
    """Serves the recordings' folder, as a customer's recording server would."""
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=str(two_cities.path.parent)
    )
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def require_seed_answer(status: int, answer: dict[str, Any]) -> None:
    assert status == 201, answer
    assert {name: type(value) for name, value in answer.items()} == SEED_MEMBERS
    assert answer["success"] is True
    assert answer["message"] == "Call uploaded successfully and queued for processing"


async def test_the_file_command_is_answered_with_exactly_the_seeds_members(
    stack: Stack, client: ApiClient, two_cities: testdata.Recording, tmp_path: pathlib.Path
) -> None:
    path = audio_files.write_unique(two_cities.path, tmp_path / "call.wav", 1)
    status, answer = await run_curl(
        "-X", "POST",
        "-F", f"api_key={stack.credentials.api_key}",
        "-F", f"call=@{path}",
        "-F", "customer_name=Acme Corp",
        "-F", f"user_id={stack.credentials.admin_user_id}",
        "-F", "extension_id=EXT-456",
        "-F", "order_id=ORD-789",
        f"{stack.url}/api/add-calls",
    )  # fmt: skip

    require_seed_answer(status, answer)
    call = await client.wait_for_end(answer["call_id"], 120)
    assert call["status"] == "completed"
    assert call["worker_id"] == "ORD-789"
    text = await observing.fetch_transcript(client, answer["call_id"])
    assert wer.word_error_rate(two_cities.text, text) <= 0.12


async def test_the_url_command_is_answered_with_exactly_the_seeds_members(
    stack: Stack, client: ApiClient, web_server: str
) -> None:
    status, answer = await run_curl(
        "-X", "POST",
        "-F", f"api_key={stack.credentials.api_key}",
        "-F", f"audio_url={web_server}/beckett.wav",
        "-F", "customer_name=Acme Corp",
        f"{stack.url}/api/add-calls",
    )  # fmt: skip

    require_seed_answer(status, answer)
    assert (await client.wait_for_end(answer["call_id"], 120))["status"] == "completed"


@pytest.fixture(params=list(MediaFormat))
async def variant(
    request: pytest.FixtureRequest, two_cities: testdata.Recording
) -> AsyncIterator[pathlib.Path]:
    yield await testdata.make_variant(two_cities.path, request.param)


async def test_every_promised_format_works_from_upload_to_transcript(
    client: ApiClient, variant: pathlib.Path, two_cities: testdata.Recording
) -> None:
    call_id = await client.create_call(variant)

    call = await client.wait_for_end(call_id, 120)
    assert call["status"] == "completed", call
    assert call["duration_seconds"] == pytest.approx(two_cities.duration_seconds, abs=0.5)
    text = await observing.fetch_transcript(client, call_id)
    assert wer.word_error_rate(two_cities.text, text) <= 0.12
