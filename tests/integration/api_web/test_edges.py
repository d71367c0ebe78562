"""What does not depend on a call: the framework's problems, probes, docs, limits, lost parts."""

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from parlance.api.settings import HttpSettings, Settings

from devstack import nats_server, postgres, waiting
from tests.integration.api_web import raw, support
from tests.integration.api_web.conftest import open_api
from tests.integration.api_web.support import Account, Api


async def test_an_unknown_path_is_a_problem(client: httpx.AsyncClient) -> None:
    response = await client.get("/nowhere")

    assert (response.status_code, support.problem_of(response)) == (404, "not_found")


async def test_a_wrong_method_names_the_right_ones(client: httpx.AsyncClient) -> None:
    response = await client.put("/api/add-calls")

    assert (response.status_code, support.problem_of(response)) == (405, "method_not_allowed")
    assert "POST" in response.headers["allow"]
    assert response.json()["success"] is False


async def test_a_request_keeps_the_id_that_its_client_gave(client: httpx.AsyncClient) -> None:
    mine = await client.get("/nowhere", headers={"X-Request-Id": "order-7"})
    bad = await client.get("/nowhere", headers={"X-Request-Id": "a b"})

    assert mine.headers["x-request-id"] == mine.json()["request_id"] == "order-7"
    assert re.fullmatch(r"[0-9a-f-]{36}", bad.headers["x-request-id"])


async def test_the_docs_page_needs_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = (await client.get("/api/docs")).text
    sources = re.findall(r"(?:src|href)=[\"']([^\"']+)", page)

    assert sources
    for source in sources:
        assert source.startswith("/api/docs-static/")
        assert (await client.get(source)).status_code == 200


async def test_the_openapi_document_describes_every_route(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/docs/openapi.json")).json()

    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    assert {"addCall", "addCallByUrl", "listCalls", "getCall", "followCall"} <= set(ids)
    form = document["paths"]["/api/add-calls"]["post"]["requestBody"]["content"]
    fields = form["multipart/form-data"]["schema"]["properties"]
    assert {"api_key", "call", "audio_url", "customer_name", "order_id"} <= fields.keys()
    assert "parts" not in str(document["paths"]["/api/calls"]["get"].get("parameters"))


async def test_metrics_name_routes_not_paths(api: Api, client: httpx.AsyncClient) -> None:
    await client.get("/api/calls/some-id/audio")

    text = (await client.get(f"{api.metrics_url}/metrics")).text

    assert 'route="/api/calls/{call_id}/audio"' in text
    assert "some-id" not in text


async def test_metrics_are_not_shown_to_clients(api: Api, client: httpx.AsyncClient) -> None:
    public = await client.get("/metrics")
    private = await client.get(f"{api.metrics_url}/metrics")

    assert (public.status_code, private.status_code) == (404, 200)


async def test_the_health_port_says_whether_the_process_can_work(
    api: Api, client: httpx.AsyncClient
) -> None:
    for probe in ("live", "ready"):
        answer = await client.get(f"{api.metrics_url}/health/{probe}")

        assert (answer.status_code, answer.json()["problems"]) == (200, {})


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/api/calls/some-id", "DELETE, GET, OPTIONS"),
        ("/api/calls", "GET, OPTIONS"),
        ("/api/add-calls", "OPTIONS, POST"),
    ],
)
async def test_options_names_every_method_of_the_path(
    client: httpx.AsyncClient, path: str, allow: str
) -> None:
    response = await client.options(path)

    assert (response.status_code, response.headers["allow"]) == (204, allow)


async def test_limits_are_published(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/limits")).json()["max_upload_bytes"] == 524_288_000


async def test_probes_are_fine_while_everything_runs(client: httpx.AsyncClient) -> None:
    for probe in ("live", "startup", "ready"):

        async def is_ok(probe: str = probe) -> bool:
            # The bus is connected in the background, so that the API starts without it.
            answer = await client.get(f"/health/{probe}")
            return bool(answer.json()["status"] == "ok")

        await waiting.wait_until(is_ok, 15, f"/health/{probe} says ok")


# --- size ---------------------------------------------------------------------------------------


@pytest.fixture
async def small_api(settings: Settings) -> AsyncIterator[Api]:
    """Files of at most 100,000 bytes."""
    http = HttpSettings(http_host="127.0.0.1", http_port=0, max_upload_bytes=100_000)
    async with open_api(dataclasses.replace(settings, http=http)) as opened:
        yield opened


async def test_an_announced_size_is_refused_before_the_body(small_api: Api) -> None:
    acme = await support.add_account(small_api.database, "acme")
    async with raw.connect(small_api) as (reader, writer):
        head = raw.build_head(
            small_api, acme.key, "Content-Length: 99999999", "Expect: 100-continue"
        )
        writer.write(head)

        async with asyncio.timeout(3):
            answer = await reader.read()

    assert answer.startswith(b"HTTP/1.1 413")
    assert b'"max_bytes":100000' in answer
    assert b"100 Continue" not in answer


async def test_a_counted_size_is_refused_with_an_answer_and_a_close(small_api: Api) -> None:
    acme = await support.add_account(small_api.database, "acme")
    wav = support.make_wav(1.0)
    async with raw.connect(small_api) as (reader, writer):
        writer.write(raw.build_head(small_api, acme.key, "Transfer-Encoding: chunked"))
        for block in (raw.FILE_HEAD + wav, *[bytes(8192)] * 40):
            writer.write(b"%x\r\n%s\r\n" % (len(block), block))
            await writer.drain()

        async with asyncio.timeout(10):
            answer = await reader.read()

    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()
    assert small_api.list_objects() == []


async def test_exactly_the_limit_is_accepted_and_one_more_is_not(small_api: Api) -> None:
    acme = await support.add_account(small_api.database, "acme")
    wav = support.make_wav(6.0)
    async with httpx.AsyncClient(base_url=small_api.url, trust_env=False) as client:
        statuses = [
            (
                await client.post(
                    "/api/add-calls",
                    data={"api_key": acme.key},
                    files={"call": ("a.wav", wav + bytes(100_000 + extra - len(wav)))},
                )
            ).status_code
            for extra in (0, 1)
        ]

    assert statuses == [201, 413]


async def test_a_client_that_hangs_up_leaves_nothing(api: Api, acme: Account) -> None:
    async with raw.connect(api) as (_, writer):
        writer.write(raw.build_head(api, acme.key, "Content-Length: 20000000"))
        writer.write(raw.FILE_HEAD + support.make_wav(1.0) + bytes(12_000_000))
        await writer.drain()
        await waiting.wait_until(lambda: raw.count_running() == 1, 5, "the upload runs")

    await waiting.wait_until(lambda: raw.count_running() == 0, 10, "the upload has ended")
    assert api.list_objects() == []
    assert await support.count_rows(api.database) == {"calls": 0, "outbox": 0, "audit": 0}


# --- loss of parts ------------------------------------------------------------------------------


async def upload(client: httpx.AsyncClient, account: Account) -> httpx.Response:
    return await client.post(
        "/api/add-calls",
        data={"api_key": account.key},
        files={"call": ("a.wav", support.make_wav())},
    )


async def test_a_call_is_accepted_without_cluster_and_bus(
    api: Api, client: httpx.AsyncClient, acme: Account, shared_nats: nats_server.NatsServer
) -> None:
    await shared_nats.process.pause()
    try:
        response = await upload(client, acme)
    finally:
        shared_nats.process.resume()

    assert response.status_code == 201
    assert (await support.count_rows(api.database))["outbox"] == 1


async def test_without_postgres_nothing_is_accepted_and_nothing_is_left(
    api: Api,
    client: httpx.AsyncClient,
    acme: Account,
    postgres_server: postgres.Postgres,
) -> None:
    await upload(client, acme)  # the key is known now, so that the upload gets as far as it can
    before = api.list_objects()
    await postgres_server.process.kill()
    try:
        response = await client.post(
            "/api/add-calls",
            data={"api_key": acme.key},
            files={"call": ("a.wav", support.make_wav(seed=2))},
        )
        ready = await client.get("/health/ready")
        live = await client.get("/health/live")
    finally:
        await postgres_server.process.start()

    assert (response.status_code, support.problem_of(response)) == (503, "unavailable")
    assert "retry-after" in response.headers
    assert "postgres" not in response.text.lower()
    assert api.list_objects() == before
    assert (ready.status_code, ready.json()["parts"]["database"]) == (503, "unavailable")
    assert live.status_code == 200


async def test_without_the_store_nothing_is_accepted_and_nothing_is_left(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    api.objects.rmdir()
    api.objects.write_bytes(b"a file where the folder was")

    response = await upload(client, acme)

    api.objects.unlink()
    api.objects.mkdir()
    assert (response.status_code, support.problem_of(response)) == (503, "unavailable")
    assert (await support.count_rows(api.database))["calls"] == 0
