"""Uploads that hold places: neither clients without a key nor one company keep the others out."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from parlance.api.settings import HttpSettings, Settings

from devstack import waiting
from tests.integration.api_web import raw, support
from tests.integration.api_web.conftest import open_api
from tests.integration.api_web.support import Account, Api

PLACES = 4
COMPANY_PLACES = 2
UNKEYED_BYTES = 50_000
UNKEYED = 20
MAX_WAITING = 25


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    """Few places, and little patience."""
    http = HttpSettings(
        http_host="127.0.0.1",
        http_port=0,
        drain_seconds=1.0,
        max_concurrent_uploads=PLACES,
        max_company_uploads=COMPANY_PLACES,
        max_unkeyed_uploads=1,
        max_unkeyed_upload_bytes=UNKEYED_BYTES,
        max_waiting_uploads=MAX_WAITING,
        upload_wait_seconds=2.0,
    )
    async with open_api(dataclasses.replace(settings, http=http)) as opened:
        yield opened


@contextlib.asynccontextmanager
async def hold_uploads(api: Api, key: str | None, count: int) -> AsyncIterator[None]:
    """Uploads that have begun their file and do not go on."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(count):
            _, writer = await stack.enter_async_context(raw.connect(api))
            writer.write(raw.build_head(api, key, "Content-Length: 20000000"))
            writer.write(raw.FILE_HEAD + support.make_wav(0.1))
            await writer.drain()
        yield


async def upload(
    client: httpx.AsyncClient, account: Account, seed: int, *, in_header: bool
) -> httpx.Response:
    files = {"call": ("call.wav", support.make_wav(seed=seed))}
    if in_header:
        headers = {"X-Api-Key": account.key}
        return await client.post("/api/add-calls", headers=headers, files=files)
    return await client.post("/api/add-calls", data={"api_key": account.key}, files=files)


async def send_key_last(client: httpx.AsyncClient, account: Account, wav: bytes) -> httpx.Response:
    parts: list[Any] = [("call", ("call.wav", wav)), ("api_key", (None, account.key))]
    return await client.post("/api/add-calls", files=parts)


@pytest.mark.parametrize("in_header", [True, False])
async def test_slow_clients_without_a_key_do_not_keep_out_those_with_one(
    api: Api, client: httpx.AsyncClient, acme: Account, in_header: bool
) -> None:
    async with hold_uploads(api, None, UNKEYED):
        await waiting.wait_until(raw.count_running, 5, "a client without a key holds a place")

        response = await upload(client, acme, 1, in_header=in_header)

    assert response.status_code == 201, response.text


async def test_however_many_have_no_key_an_address_with_one_is_looked_at(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    async def ask(headers: dict[str, str]) -> int:
        address = {"call_url": "http://10.0.0.1/a.wav"}
        return (await client.post("/api/addcallurl", headers=headers, json=address)).status_code

    async def are_strangers_refused() -> bool:
        return await ask({}) == 503

    async with hold_uploads(api, None, MAX_WAITING):
        await waiting.wait_until(are_strangers_refused, 10, "no stranger gets in any more")

        assert await ask({"X-Api-Key": acme.key}) == 422  # what it says of the address itself


async def test_one_company_does_not_take_all_places(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    globex = await support.add_account(api.database, "globex")
    async with hold_uploads(api, acme.key, PLACES):
        await waiting.wait_until(
            lambda: (raw.count_running() or 0) >= COMPANY_PLACES, 5, "acme has its places"
        )

        refused, other = await asyncio.gather(
            upload(client, acme, 1, in_header=True), upload(client, globex, 2, in_header=True)
        )

    assert other.status_code == 201, other.text
    assert (refused.status_code, support.problem_of(refused)) == (429, "rate_limited")
    assert refused.headers["retry-after"]


async def test_places_are_free_again_after_an_upload(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    uploads = (upload(client, acme, seed, in_header=True) for seed in range(3 * PLACES))

    assert {response.status_code for response in await asyncio.gather(*uploads)} == {201}
    assert raw.count_running() == 0


async def test_a_file_before_its_key_has_a_small_limit(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    small, large = support.make_wav(1.0, seed=1), support.make_wav(4.0, seed=2)

    accepted = await send_key_last(client, acme, small)
    refused = await send_key_last(client, acme, large)

    assert accepted.status_code == 201, accepted.text
    assert (refused.status_code, support.problem_of(refused)) == (413, "too_large")
    assert refused.json()["max_bytes"] == UNKEYED_BYTES
    assert len(api.list_objects()) == 1


async def test_a_client_that_sends_no_key_in_time_is_told_so(settings: Settings) -> None:
    http = HttpSettings(http_host="127.0.0.1", http_port=0, key_wait_seconds=0.5)
    async with (
        open_api(dataclasses.replace(settings, http=http)) as api,
        raw.connect(api) as (reader, writer),
    ):
        writer.write(raw.build_head(api, None, "Content-Length: 20000000"))
        writer.write(raw.FILE_HEAD + support.make_wav(0.1))
        async with asyncio.timeout(10):
            answer = await reader.read()

        assert answer.startswith(b"HTTP/1.1 400")
        assert b"X-Api-Key" in answer
        assert api.list_objects() == []
