"""Uploads that are refused or warned of, and the limits of one request."""

import asyncio
import pathlib
import uuid
from typing import Any

import httpx
import pytest
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.settings import Settings

from tests.integration.api_web import support
from tests.integration.api_web.support import Account
from tests.integration.api_web.tickets.uploads import support as uploads


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"subject": "x"}, 422, "conversation_required"),
        ({"messages": []}, 422, "conversation_required"),
        (uploads.talk("Hi", text="Agent: hi"), 422, "conversation_ambiguous"),
        (uploads.talk("  ", "\n\t\u00a0"), 422, "conversation_empty"),
        (uploads.talk("<p> </p><script>x()</script>"), 422, "conversation_empty"),
        ({"text": " \n "}, 422, "conversation_empty"),
        (uploads.talk("Hi", created_at="1969-12-31T23:59:59Z"), 422, "invalid_time"),
        (uploads.talk("Hi", created_at=""), 422, "invalid_time"),
        (uploads.talk("Hi", created_at=17408160001), 422, "invalid_time"),
        (uploads.talk("Hi", created_at=True), 422, "invalid_time"),
        (uploads.talk("Hi", external_id=12345678901234567890), 422, "validation_failed"),
        (uploads.talk("Hi", user_id=str(uuid.uuid4())), 422, "user_not_found"),
        (uploads.talk("x" * (64 * 1024 + 1)), 413, "text_too_long"),
        (uploads.talk(*["x" * 60_000] * 18), 413, "text_too_long"),
        (uploads.talk(*["x"] * 2001), 413, "too_many_messages"),
        ({"tickets": []}, 422, "items_required"),
        ({"tickets": {}}, 422, "validation_failed"),
        ({"tickets": [uploads.talk("x")] * 1001}, 413, "too_many_items"),
        ({"tickets": [uploads.talk("x")], "messages": []}, 200, None),
        ({"tickets": [uploads.talk("x")], "text": "y"}, 422, "conversation_ambiguous"),
    ],
)
async def test_each_mistake_has_its_name(
    client: httpx.AsyncClient, body: Any, status: int, code: str | None
) -> None:
    response = await client.post(uploads.PATH, json=body)

    assert response.status_code == status, response.text
    assert code is None or support.problem_of(response) == code


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"[" * 100_000, 400, "malformed_request"),
        (b'{"metadata":' * 33 + b"1" + b"}" * 33, 400, "malformed_request"),
        (b'{"text": "a", "text": "b"}', 400, "duplicate_field"),
        (b'{"messages": [{"text": "a", "text": "b"}]}', 400, "duplicate_field"),
        (b'{"text": "\\u0000"}', 400, "invalid_text"),
        (b'{"text": "\\ud800"}', 400, "invalid_text"),
        (b'{"text": "\xff"}', 400, "invalid_text"),
        (b'{"metadata": {"a": 1e999}}', 400, "malformed_request"),
        (b"7", 400, "malformed_request"),
        (b" " * (16 * 1024 * 1024 + 1), 413, "too_large"),
    ],
)
async def test_a_broken_body_is_told_from_a_wrong_one(
    client: httpx.AsyncClient, data: bytes, status: int, code: str
) -> None:
    response = await client.post(
        uploads.PATH, content=data, headers={"Content-Type": "application/json"}
    )

    assert (response.status_code, support.problem_of(response)) == (status, code)


async def test_another_type_of_body_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post(uploads.PATH, data={"text": "x"})

    assert (response.status_code, support.problem_of(response)) == (
        415,
        "unsupported_content_type",
    )


async def test_the_key_may_stand_in_the_body_and_is_stored_nowhere(
    anyone: httpx.AsyncClient, acme: Account, database: Database, settings: Settings
) -> None:
    body = uploads.talk("Hello? " * 3000, external_id="K-1")  # too large for a message

    accepted = await anyone.post(uploads.PATH, json=body | {"api_key": acme.key})
    refused = await anyone.post(uploads.PATH, json=body | {"api_key": "pk_" + "0" * 40})
    missing = await anyone.post(uploads.PATH, json=body)
    in_header = await anyone.post(uploads.PATH, json=body, headers={"X-Api-Key": acme.key})

    assert accepted.status_code == 201, accepted.text
    assert "warnings" not in accepted.json()
    assert (refused.status_code, missing.status_code) == (401, 401)
    assert in_header.json()["outcome"] == "unchanged"  # the key is no part of the content
    stored = [
        str(row)
        for table in (tables.Ticket, tables.TicketContent, tables.OutboxRow, tables.AuditEntry)
        for row in await uploads.fetch_all(database, table)
    ]
    folder = pathlib.Path(settings.store.store_url.removeprefix("file://"))
    files = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    assert not any(acme.key in text for text in stored + files)


async def test_unknown_fields_are_told_and_refused_when_strict(
    client: httpx.AsyncClient,
) -> None:
    body = uploads.talk("Hi", colour="red", customer={"name": "Ada", "vip": True})

    accepted = await client.post(uploads.PATH, json=body)
    refused = await client.post(f"{uploads.PATH}?strict=1", json=body)

    assert [warning["code"] for warning in accepted.json()["warnings"]] == ["unknown_field"] * 2
    assert (refused.status_code, support.problem_of(refused)) == (422, "unknown_field")
    assert [error["pointer"] for error in refused.json()["errors"]] == [
        "/colour",
        "/customer/vip",
    ]


async def test_strangers_with_long_bodies_take_turns(
    anyone: httpx.AsyncClient, acme: Account
) -> None:
    body = {
        "api_key": acme.key,
        "tickets": [uploads.talk(*["word " * 10_000] * 20) for _ in range(5)],
    }

    responses = await asyncio.gather(*(anyone.post(uploads.PATH, json=body) for _ in range(4)))

    assert [response.status_code for response in responses] == [200] * 4


async def test_the_limits_are_published(client: httpx.AsyncClient) -> None:
    limits_ = (await client.get("/api/limits")).json()["tickets"]

    assert (limits_["max_items"], limits_["max_messages"]) == (1000, 2000)
    assert limits_["max_body_bytes"] == 16 * 1024 * 1024
