"""`PATCH /api/tickets/{ticket_id}`: what is changed, what is refused, what stands in the audit."""

from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.identity.scopes import Scope
from sqlmodel import col

from tests.integration.api_web import support
from tests.integration.api_web.support import Account, Api
from tests.integration.api_web.tickets import support as tickets


async def test_a_patch_changes_what_it_names_and_clears_with_null(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await tickets.add(
        api, acme,
        subject="Old", status="open", tags=["a"], extra={"a": 1, "b": {"c": 2, "d": 3}},
        customer={"name": "Ada", "phone": "1"},
    )  # fmt: skip
    answer = await tickets.patch(
        client, acme, ticket_id,
        {"status": None, "tags": ["x", "x", "y"], "customer": {"phone": None, "email": "a@b.c"},
         "metadata": {"a": None, "b": {"c": 4}}},
    )  # fmt: skip
    read = await tickets.get(client, acme, f"/{ticket_id}")

    assert answer.status_code == 200
    assert (answer.content, answer.headers["etag"]) == (read.content, read.headers["etag"])
    ticket = read.json()
    assert (ticket["subject"], ticket["status"], ticket["tags"]) == ("Old", None, ["x", "y"])
    assert ticket["customer"] == {"name": "Ada", "email": "a@b.c"}
    assert ticket["metadata"] == {"b": {"c": 4, "d": 3}}
    assert ticket["revision"] == 2


async def test_a_patched_customer_is_what_the_list_is_narrowed_by(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await tickets.add(api, acme, customer={"name": "Ada"})
    body = {"customer": {"name": None, "email": "Grace@Example.com"}}
    assert (await tickets.patch(client, acme, ticket_id, body)).status_code == 200
    by_old = await tickets.get(client, acme, "?customer=Ada")
    by_new = await tickets.get(client, acme, "?customer=grace@example.com")

    assert by_old.json()["items"] == []
    assert [item["id"] for item in by_new.json()["items"]] == [ticket_id]


async def test_a_patch_that_changes_nothing_is_no_change(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await tickets.add(api, acme, subject="Same")
    before = await tickets.get(client, acme, f"/{ticket_id}")
    answer = await tickets.patch(client, acme, ticket_id, {"subject": "Same"})

    assert answer.content == before.content


async def test_of_two_editors_the_second_is_told_and_an_analysis_does_not_count(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await tickets.add(api, acme)
    old = (await tickets.get(client, acme, f"/{ticket_id}")).headers["etag"]
    await tickets.complete(api, acme, ticket_id)
    first = await tickets.patch(client, acme, ticket_id, {"subject": "New"}, If_Match=old)
    second = await tickets.patch(client, acme, ticket_id, {"subject": "Newer"}, If_Match=old)
    nonsense = await tickets.patch(client, acme, ticket_id, {"subject": "Newer"}, If_Match='"x"')
    any_ = await tickets.patch(client, acme, ticket_id, {"subject": "Newest"}, If_Match="*")

    assert first.status_code == any_.status_code == 200
    for refused in (second, nonsense):
        assert (refused.status_code, support.problem_of(refused)) == (412, "precondition_failed")
    assert (await tickets.get(client, acme, f"/{ticket_id}")).json()["subject"] == "Newest"


async def test_the_agent_is_changed_by_any_of_its_ids(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    user_id = await support.add_user(api.database, acme, "EXT-1")
    ticket_id = await tickets.add(api, acme)
    by_user = await tickets.patch(client, acme, ticket_id, {"agent": {"user_id": user_id}})
    nobody = await tickets.patch(client, acme, ticket_id, {"agent": None})
    by_extension = await tickets.patch(
        client, acme, ticket_id, {"agent": {"extension_id": "EXT-1"}}
    )
    beside = await tickets.patch(client, acme, ticket_id, {"extension_id": "EXT-9"})
    unknown = await tickets.patch(client, acme, ticket_id, {"agent": {"user_id": tickets.NOBODYS}})

    assert by_user.json()["agent"]["id"] == user_id
    assert nobody.json()["agent"] is None
    assert by_extension.json()["agent"]["id"] == user_id
    assert (beside.json()["agent"], beside.json()["extension_id"]) == (None, "EXT-9")
    assert [item["code"] for item in beside.json()["warnings"]] == ["extension_unknown"]
    assert (unknown.status_code, support.problem_of(unknown)) == (422, "user_not_found")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"subject": 7}, "/subject"),
        ({"status": "x" * 65}, "/status"),
        ({"tags": "x"}, "/tags"),
        ({"customer": "Ada"}, "/customer"),
        ({"metadata": [1]}, "/metadata"),
        ({"agent": {}}, "/agent"),
        ({"agent": "Bo"}, "/agent"),
        ({"agent": {"user_id": "x"}}, "/user_id"),
        ({"api_key": 1}, "/api_key"),
    ],
)
async def test_a_wrong_value_is_named_and_nothing_is_changed(
    api: Api, client: httpx.AsyncClient, acme: Account, body: Any, pointer: str
) -> None:
    ticket_id = await tickets.add(api, acme, subject="Old")
    answer = await tickets.patch(client, acme, ticket_id, {"status": "new"} | body)

    assert answer.status_code == 422, answer.text
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert (await tickets.get(client, acme, f"/{ticket_id}")).json()["revision"] == 1


async def test_unknown_members_are_told_once_or_refused(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await tickets.add(api, acme)
    answer = await tickets.patch(client, acme, ticket_id, {"subject": "New", "state": "completed"})
    strict = await tickets.patch(client, acme, f"{ticket_id}?strict=1", {"state": "completed"})
    read = await tickets.get(client, acme, f"/{ticket_id}")

    assert [item["code"] for item in answer.json()["warnings"]] == ["unknown_field"]
    assert (strict.status_code, support.problem_of(strict)) == (422, "unknown_field")
    assert (read.json()["warnings"], read.json()["state"]) == ([], "queued")
    assert read.headers["etag"] == answer.headers["etag"]


async def test_an_upload_with_the_content_from_before_a_patch_restores_it_in_mode_upsert_only(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    body = {"external_id": "S", "status": "open", "messages": [{"text": "Hi"}]}
    path, headers = "/api/tickets/upload", support.authorize(acme)
    ticket_id = (await client.post(path, json=body, headers=headers)).json()["ticket_id"]
    await tickets.patch(client, acme, ticket_id, {"status": "solved"})
    found = []
    for mode in ("create", "upsert", "upsert"):
        answer = await client.post(f"{path}?mode={mode}", json=body, headers=headers)
        status = (await tickets.get(client, acme, f"/{ticket_id}")).json()["status"]
        found.append((answer.json()["outcome"], status))

    assert found == [("unchanged", "solved"), ("updated", "open"), ("unchanged", "open")]


async def test_unknown_members_of_the_customer_are_told_or_refused(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await tickets.add(api, acme)
    body = {"customer": {"name": "Ada", "vip": True}}
    answer = await tickets.patch(client, acme, ticket_id, body)
    strict = await tickets.patch(client, acme, f"{ticket_id}?strict=1", body)

    assert answer.json()["customer"] == {"name": "Ada"}
    assert [item["detail"] for item in answer.json()["warnings"]] == [
        "The field 'customer/vip' cannot be changed."
    ]
    assert [error["pointer"] for error in strict.json()["errors"]] == ["/customer/vip"]


async def test_the_key_of_a_patch_may_stand_in_its_body(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    path = f"/api/tickets/{await tickets.add(api, acme)}"
    reader = await support.add_account(api.database, "reader", Scope.TICKETS_READ)
    other = await support.add_account(api.database, "other", Scope.TICKETS_WRITE)
    keys = [f" {acme.key} ", "", "pk_" + "0" * 40, reader.key, other.key]
    answers = [await client.patch(path, json={"api_key": key, "status": "x"}) for key in keys]

    assert [answer.status_code for answer in answers] == [200, 401, 401, 403, 404]
    assert "warnings" not in answers[0].json() or answers[0].json()["warnings"] == []


async def test_the_audit_names_fields_as_clients_do(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await tickets.add(api, acme)
    body = {"metadata": {"a": 1}, "agent": {"extension_id": "EXT-9"}, "subject": "New"}
    assert (await tickets.patch(client, acme, ticket_id, body)).status_code == 200
    async with api.database.system_session() as session:
        detail = await session.scalar(sa.select(col(tables.AuditEntry.detail)))

    assert detail is not None
    assert detail["fields"] == ["subject", "metadata", "extension_id", "agent"]


async def test_a_body_that_is_no_json_object_is_refused(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    path, headers = f"/api/tickets/{await tickets.add(api, acme)}", support.authorize(acme)
    form = await client.patch(path, data={"subject": "x"}, headers=headers)
    array = await tickets.patch(client, acme, path.rpartition("/")[2], [1])
    other_key = await tickets.patch(client, acme, path.rpartition("/")[2], {"api_key": "pk_other"})

    assert support.problem_of(form) == "unsupported_content_type"
    assert support.problem_of(array) == "malformed_request"
    assert support.problem_of(other_key) == "conflicting_credentials"
