"""`audio_url`: fetched within the request, over a real socket, only where it is allowed."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from parlance.api.settings import HttpSettings, Settings
from parlance.contracts import ids

from tests.integration.api_web import support
from tests.integration.api_web.conftest import open_api
from tests.integration.api_web.support import Account, Api
from tests.integration.api_web.upstream import Upstream


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    """May fetch from this machine."""
    http = HttpSettings(
        http_host="127.0.0.1",
        http_port=0,
        max_upload_bytes=1_000_000,
        fetch_allowed_hosts=("127.0.0.1/32",),
        fetch_refusal_seconds=0.05,
    )
    async with open_api(dataclasses.replace(settings, http=http)) as opened:
        yield opened


async def send(client: httpx.AsyncClient, account: Account, url: str) -> httpx.Response:
    """As the contract's curl does: a form without a file."""
    fields = {"api_key": account.key, "audio_url": url, "customer_name": "Acme Corp"}
    parts: list[Any] = [(name, (None, value)) for name, value in fields.items()]
    return await client.post("/api/add-calls", files=parts)


async def test_the_file_behind_an_address_becomes_a_call(
    api: Api, client: httpx.AsyncClient, acme: Account, upstream: Upstream
) -> None:
    response = await send(client, acme, upstream.url)

    assert response.status_code == 201, response.text
    call_id = response.json()["call_id"]
    call = (await client.get(f"/api/calls/{call_id}", headers={"X-Api-Key": acme.key})).json()
    assert (call["source"], call["media"]["file_name"]) == ("url", "monday.wav")
    assert "secret" not in str(call)
    assert api.list_objects() == [f"acme/calls/{call_id}/audio.wav"]


@pytest.mark.parametrize("name", ["call_url", "audio_url"])
async def test_the_address_may_come_as_json(
    client: httpx.AsyncClient, acme: Account, upstream: Upstream, name: str
) -> None:
    body = {"api_key": acme.key, name: upstream.url, "order_id": "ORD-1", "metadata": {"a": 1}}

    response = await client.post("/api/addcallurl", json=body)

    assert response.status_code == 201, response.text
    assert response.json().keys() == {
        "success", "call_id", "message", "audio_url", "duration_seconds", "processing_time_ms",
    }  # fmt: skip


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/a.wav",
        "http://[::1]/a.wav",
        "http://localhost/a.wav",
        "http://no-such-name.example/a.wav",
        "file:///etc/passwd",
        "http://user:pw@127.0.0.1/a.wav",
        "nonsense",
    ],
)
async def test_an_address_that_is_not_allowed_is_refused_with_one_text(
    api: Api, client: httpx.AsyncClient, acme: Account, url: str
) -> None:
    response = await send(client, acme, url)

    assert (response.status_code, support.problem_of(response)) == (422, "url_not_allowed")
    assert response.json()["detail"] == "The address may not be fetched."
    assert api.list_objects() == []


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"status": "404 Not Found"}, 422, "audio_fetch_failed"),
        ({"status": "500 Oh"}, 502, "upstream_failed"),
        (
            {"body": b"<!DOCTYPE html><html>", "headers": ["Content-Type: text/html"]},
            422,
            "not_audio",
        ),
        ({"body": b""}, 422, "empty_file"),
        ({"body": bytes(1_000_001)}, 413, "too_large"),
        (
            {"status": "302 Found", "headers": ["Location: http://10.1.2.3/"]},
            422,
            "url_not_allowed",
        ),
    ],
)
async def test_what_the_other_side_does_wrong_has_its_own_answer(
    api: Api,
    client: httpx.AsyncClient,
    acme: Account,
    upstream: Upstream,
    changes: dict[str, Any],
    status: int,
    code: str,
) -> None:
    for name, value in changes.items():
        setattr(upstream, name, value)

    response = await send(client, acme, upstream.url)

    assert (response.status_code, support.problem_of(response)) == (status, code)
    assert api.list_objects() == []


async def test_nothing_is_fetched_before_the_key_is_checked(
    client: httpx.AsyncClient, upstream: Upstream
) -> None:
    nobody = Account(ids.new_uuid7(), "nobody", "pk_wrong")

    response = await send(client, nobody, upstream.url)

    assert response.status_code == 401
    assert upstream.requests == 0


async def test_an_unreachable_address_may_be_tried_again(
    client: httpx.AsyncClient, acme: Account
) -> None:
    response = await send(client, acme, "http://127.0.0.1:1/a.wav")

    assert (response.status_code, support.problem_of(response)) == (502, "upstream_failed")
    assert response.json()["retryable"] is True


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 400, "malformed_request"),
        (b"[]", 400, "malformed_request"),
        (b'{"call_url": "a", "call_url": "b"}', 400, "duplicate_field"),
        (b'{"call_url": "\\ud800"}', 400, "invalid_text"),
        (b'{"call_url": 7}', 422, "validation_failed"),
        (b"{}", 422, "audio_required"),
        (b'{"call_url": "http://a/", "audio_url": "http://a/"}', 422, "audio_ambiguous"),
        (b'{"a": "' + b"x" * 300_000 + b'"}', 413, "too_large"),
    ],
)
async def test_json_that_is_not_right_is_refused(
    client: httpx.AsyncClient, acme: Account, content: bytes, status: int, code: str
) -> None:
    headers = {"Content-Type": "application/json", "X-Api-Key": acme.key}

    response = await client.post("/api/addcallurl", content=content, headers=headers)

    assert (response.status_code, support.problem_of(response)) == (status, code)
