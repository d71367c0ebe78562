"""`POST /api/add-calls` over a real socket, Postgres, NATS and store."""

import asyncio
import json
import uuid
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.identity import keys
from parlance.api.identity.scopes import Scope
from parlance.contracts.calls import CallStatus
from sqlmodel import col

from tests.integration.api_web import support
from tests.integration.api_web.support import Account, Api

SEED_MEMBERS = {
    "success": True,
    "message": "Call uploaded successfully and queued for processing",
}
NOTHING = {"calls": 0, "outbox": 0, "audit": 0}


async def upload(
    client: httpx.AsyncClient, key: str | None, data: bytes | None = None, **fields: str
) -> httpx.Response:
    values = {"api_key": key, **fields} if key else fields
    files = {"call": ("call.wav", data if data is not None else support.make_wav())}
    return await client.post("/api/add-calls", data=values, files=files)


async def fetch_row(api: Api, call_id: str) -> tables.Call:
    async with api.database.system_session() as session:
        found = await session.scalar(
            sa.select(tables.Call).where(col(tables.Call.id) == uuid.UUID(call_id))
        )
    assert found is not None
    return found


async def test_the_seeds_request_is_answered_with_exactly_the_seeds_members(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    user_id = await support.add_user(api.database, acme, "EXT-456")

    response = await upload(
        client,
        acme.key,
        support.make_wav(2.0),
        customer_name="Acme Corp",
        user_id=user_id,
        extension_id="EXT-456",
        order_id="ORD-789",
    )

    assert response.status_code == 201, response.text
    body = response.json()
    call_id, audio_url = body.pop("call_id"), body.pop("audio_url")
    milliseconds = body.pop("processing_time_ms")
    assert body == {**SEED_MEMBERS, "duration_seconds": 2}
    assert isinstance(body["duration_seconds"], int)
    assert isinstance(milliseconds, int)
    assert milliseconds >= 0
    assert audio_url == f"{api.url}/api/calls/{call_id}/audio"
    assert response.headers["location"] == f"/api/calls/{call_id}"
    row = await fetch_row(api, call_id)
    assert (row.status, row.worker_id, str(row.user_id)) == (CallStatus.QUEUED, "ORD-789", user_id)
    assert (row.customer_name, row.extension_id) == ("Acme Corp", "EXT-456")
    assert api.list_objects() == [f"acme/calls/{call_id}/audio.wav"]
    assert await support.count_rows(api.database) == {"calls": 1, "outbox": 1, "audit": 1}


@pytest.mark.parametrize("kind", support.FORMATS)
async def test_every_format_is_accepted(
    client: httpx.AsyncClient, acme: Account, kind: str
) -> None:
    files = {"call": (f"call.{kind}", support.make_audio(kind))}

    response = await client.post("/api/add-calls", data={"api_key": acme.key}, files=files)

    assert response.status_code == 201, response.text
    assert response.json()["duration_seconds"] == 2
    assert "type_mismatch" not in response.text


async def test_the_key_may_come_after_the_file(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    parts: list[Any] = [
        ("call", ("call.wav", support.make_wav())),
        ("api_key", (None, acme.key)),
    ]

    response = await client.post("/api/add-calls", files=parts)

    assert response.status_code == 201, response.text
    assert api.list_objects() == [f"acme/calls/{response.json()['call_id']}/audio.wav"]


async def test_a_wrong_key_after_the_file_leaves_nothing(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    parts: list[Any] = [("call", ("call.wav", support.make_wav())), ("api_key", (None, "pk_wrong"))]

    response = await client.post("/api/add-calls", files=parts)

    assert response.status_code == 401
    assert support.problem_of(response) == "unauthenticated"
    assert response.json()["success"] is False
    assert api.list_objects() == []
    assert await support.count_rows(api.database) == NOTHING


@pytest.mark.parametrize("style", ["X-Api-Key", "Bearer"])
async def test_the_key_may_stand_in_a_header(
    client: httpx.AsyncClient, acme: Account, style: str
) -> None:
    headers = (
        {"X-Api-Key": acme.key} if style == "X-Api-Key" else {"Authorization": f"Bearer {acme.key}"}
    )

    response = await client.post(
        "/api/add-calls", headers=headers, files={"call": ("a.wav", support.make_wav())}
    )

    assert response.status_code == 201


async def test_different_keys_in_header_and_field_are_refused(
    client: httpx.AsyncClient, acme: Account
) -> None:
    response = await client.post(
        "/api/add-calls",
        headers={"X-Api-Key": acme.key},
        data={"api_key": keys.generate_key().text},
        files={"call": ("a.wav", support.make_wav())},
    )

    assert (response.status_code, support.problem_of(response)) == (400, "conflicting_credentials")


async def test_a_key_in_the_query_is_refused(client: httpx.AsyncClient, acme: Account) -> None:
    response = await client.post(f"/api/add-calls?api_key={acme.key}")

    assert (response.status_code, support.problem_of(response)) == (400, "key_in_query")


async def test_a_key_without_the_scope_is_refused(api: Api, client: httpx.AsyncClient) -> None:
    reader = await support.add_account(api.database, "readers", Scope.CALLS_READ)

    response = await upload(client, reader.key)

    assert (response.status_code, support.problem_of(response)) == (403, "forbidden")
    assert api.list_objects() == []


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 422, "empty_file"),
        (b"%PDF-1.7 hello", 415, "unsupported_media"),
        (b"<!DOCTYPE html><html>", 415, "unsupported_media"),
        (b"just some words that are no audio" * 100, 415, "unsupported_media"),
        (support.make_wav(0.05), 422, "audio_too_short"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(200), 422, "undecodable_audio"),
    ],
)
async def test_what_is_not_usable_audio_is_refused_and_leaves_nothing(
    api: Api, client: httpx.AsyncClient, acme: Account, data: bytes, status: int, code: str
) -> None:
    response = await upload(client, acme.key, data)

    assert (response.status_code, support.problem_of(response)) == (status, code)
    assert api.list_objects() == []
    assert await support.count_rows(api.database) == NOTHING


async def test_neither_file_nor_address_is_refused(
    client: httpx.AsyncClient, acme: Account
) -> None:
    files = {"file": ("call.wav", support.make_wav())}

    response = await client.post("/api/add-calls", data={"api_key": acme.key}, files=files)

    assert (response.status_code, support.problem_of(response)) == (422, "audio_required")
    assert "file" in response.json()["detail"]


async def test_file_and_address_together_are_refused_and_leave_nothing(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    response = await upload(client, acme.key, audio_url="https://example.com/a.mp3")

    assert (response.status_code, support.problem_of(response)) == (422, "audio_ambiguous")
    assert api.list_objects() == []


async def test_every_wrong_field_is_named(client: httpx.AsyncClient, acme: Account) -> None:
    response = await upload(
        client,
        acme.key,
        user_id="me",
        order_id="x" * 129,
        channels="five",
        metadata="[1]",
        recorded_at="yesterday",
    )

    assert (response.status_code, support.problem_of(response)) == (422, "validation_failed")
    pointers = {error["pointer"] for error in response.json()["errors"]}
    assert pointers == {"/user_id", "/order_id", "/channels", "/metadata", "/recorded_at"}


async def test_an_unknown_user_is_refused(client: httpx.AsyncClient, acme: Account) -> None:
    response = await upload(client, acme.key, user_id=str(uuid.uuid4()))

    assert (response.status_code, support.problem_of(response)) == (422, "user_not_found")


async def test_a_user_of_another_company_is_unknown(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    globex = await support.add_account(api.database, "globex")

    response = await upload(
        client, acme.key, user_id=await support.add_user(api.database, globex, "1")
    )

    assert support.problem_of(response) == "user_not_found"


@pytest.mark.parametrize(("users", "code"), [(0, "extension_unknown"), (2, "extension_ambiguous")])
async def test_an_extension_that_names_no_single_user_is_only_a_warning(
    api: Api, client: httpx.AsyncClient, acme: Account, users: int, code: str
) -> None:
    for _ in range(users):
        await support.add_user(api.database, acme, "7")

    response = await upload(client, acme.key, extension_id="7")

    assert response.status_code == 201
    assert [warning["code"] for warning in response.json()["warnings"]] == [code]


async def test_an_extension_finds_its_user(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    user_id = await support.add_user(api.database, acme, "EXT-456")

    response = await upload(client, acme.key, extension_id=" EXT-456 ")

    assert "warnings" not in response.json()
    assert str((await fetch_row(api, response.json()["call_id"])).user_id) == user_id


async def test_a_misnamed_file_and_an_unknown_field_are_only_warnings(
    client: httpx.AsyncClient, acme: Account
) -> None:
    files = {"call": ("call.mp3", support.make_wav())}

    response = await client.post(
        "/api/add-calls", data={"api_key": acme.key, "colour": "red"}, files=files
    )

    codes = {warning["code"] for warning in response.json()["warnings"]}
    assert codes == {"type_mismatch", "unknown_field"}


async def test_an_unknown_field_is_refused_when_strict(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    response = await client.post(
        "/api/add-calls?strict=1",
        data={"api_key": acme.key, "colour": "red"},
        files={"call": ("call.wav", support.make_wav())},
    )

    assert (response.status_code, support.problem_of(response)) == (422, "unknown_field")
    assert api.list_objects() == []


async def test_the_same_audio_again_names_the_first_call_unless_allowed(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    first = await upload(client, acme.key)

    again = await upload(client, acme.key)
    allowed = await upload(client, acme.key, allow_duplicate="true")

    assert (again.status_code, support.problem_of(again)) == (409, "duplicate_call")
    assert again.json()["existing_call_id"] == first.json()["call_id"]
    assert allowed.status_code == 201
    assert len(api.list_objects()) == 2


async def test_two_parallel_uploads_of_the_same_audio_make_one_call(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    answers = await asyncio.gather(*(upload(client, acme.key) for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert len(api.list_objects()) == 1


async def test_another_company_may_upload_the_same_audio(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    globex = await support.add_account(api.database, "globex")

    answers = [await upload(client, account.key) for account in (acme, globex)]

    assert [answer.status_code for answer in answers] == [201, 201]


async def test_a_repeated_order_is_only_a_warning(client: httpx.AsyncClient, acme: Account) -> None:
    for seed in (1, 2):
        response = await upload(client, acme.key, support.make_wav(seed=seed), order_id="ORD-1")

    assert [warning["code"] for warning in response.json()["warnings"]] == ["order_id_repeated"]


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"),
    [
        ("application/json", b"{}", 415, "unsupported_content_type"),
        ("multipart/form-data", b"--x--", 400, "malformed_multipart"),
        ("multipart/form-data; boundary=y", b"--x\r\n", 400, "malformed_multipart"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Dis", 400, "malformed_multipart"),
    ],
)
async def test_a_broken_form_is_refused(
    client: httpx.AsyncClient,
    acme: Account,
    content_type: str,
    body: bytes,
    status: int,
    code: str,
) -> None:
    headers = {"Content-Type": content_type, "X-Api-Key": acme.key}

    response = await client.post("/api/add-calls", content=body, headers=headers)

    assert (response.status_code, support.problem_of(response)) == (status, code)


async def test_a_repeated_field_is_refused(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    wav = support.make_wav()
    parts: list[Any] = [
        ("api_key", (None, acme.key)),
        ("call", ("a.wav", wav)),
        ("call", ("b.wav", wav)),
    ]

    response = await client.post("/api/add-calls", files=parts)

    assert (response.status_code, support.problem_of(response)) == (400, "duplicate_field")
    assert api.list_objects() == []


async def test_metadata_comes_back_as_it_was(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    metadata = {"campaign": "spring", "tries": [1, 2, {"deep": None}]}

    response = await upload(client, acme.key, metadata=json.dumps(metadata))

    assert (await fetch_row(api, response.json()["call_id"])).extra == metadata


@pytest.mark.parametrize("text", ['{"a": "\\u0000"}', '{"a": "\\ud800"}'])
async def test_metadata_that_postgres_cannot_hold_is_refused(
    client: httpx.AsyncClient, acme: Account, text: str
) -> None:
    response = await upload(client, acme.key, metadata=text)

    assert (response.status_code, support.problem_of(response)) == (400, "invalid_text")


async def send_once(
    client: httpx.AsyncClient, account: Account, key: str, seed: int = 1, **fields: str
) -> httpx.Response:
    return await client.post(
        "/api/add-calls",
        headers={"Idempotency-Key": key},
        data={"api_key": account.key, **fields},
        files={"call": ("a.wav", support.make_wav(seed=seed))},
    )


async def test_the_same_request_again_is_answered_as_the_first_time(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    first = await send_once(client, acme, "k-1", order_id="7")

    again = await send_once(client, acme, "k-1", order_id="7")

    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert len(api.list_objects()) == 1
    assert (await support.count_rows(api.database))["calls"] == 1


async def test_the_same_request_many_times_at_once_makes_one_call(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    answers = await asyncio.gather(*(send_once(client, acme, "k-1") for _ in range(4)))

    assert {(answer.status_code, answer.content) for answer in answers} == {
        (201, answers[0].content)
    }
    assert len(api.list_objects()) == 1


@pytest.mark.parametrize("changes", [{"seed": 2}, {"order_id": "8"}])
async def test_a_key_that_stood_for_something_else_is_refused(
    api: Api, client: httpx.AsyncClient, acme: Account, changes: dict[str, Any]
) -> None:
    await send_once(client, acme, "k-1")

    other = await send_once(client, acme, "k-1", **changes)

    assert (other.status_code, support.problem_of(other)) == (422, "idempotency_mismatch")
    assert len(api.list_objects()) == 1


async def test_a_refused_request_may_be_tried_again_with_its_key(
    client: httpx.AsyncClient, acme: Account
) -> None:
    refused = await send_once(client, acme, "k-1", user_id=str(uuid.uuid4()))

    accepted = await send_once(client, acme, "k-1")

    assert (refused.status_code, accepted.status_code) == (422, 201)


async def test_keys_of_different_companies_do_not_meet(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    globex = await support.add_account(api.database, "globex")

    answers = [await send_once(client, account, "k-1") for account in (acme, globex)]

    assert len({answer.json()["call_id"] for answer in answers}) == 2


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_of_a_wrong_length_is_refused(
    client: httpx.AsyncClient, acme: Account, key: str
) -> None:
    response = await send_once(client, acme, key)

    assert (response.status_code, support.problem_of(response)) == (400, "malformed_request")
