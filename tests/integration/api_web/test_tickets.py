"""Reading, following, changing and deleting tickets over a real socket."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.identity.scopes import Scope
from parlance.contracts.bus import tickets as ticket_events
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.bus.tickets import TicketDispatch
from parlance.contracts.calls import Priority
from parlance.contracts.ids import CompanySlug
from parlance.contracts.tickets import TicketState
from parlance.contracts.values import Value
from parlance.runtime.bus import Bus
from sqlmodel import col

from devstack import waiting
from tests.integration.api_db.tickets import support as rows
from tests.integration.api_web import support
from tests.integration.api_web.support import Account, Api
from tests.integration.api_web.test_reading import authorize

NOBODYS = "0190b000-0000-4000-8000-00000000000f"


async def add(api: Api, account: Account, **values: Any) -> str:
    return str((await rows.add_ticket(api.database, account.id, **values)).id)


async def complete(api: Api, account: Account, ticket_id: str, *, score: float = 0.5) -> None:
    """What the recorder writes."""
    async with api.database.company_session(account.id) as session:
        ticket = await session.get_one(tables.Ticket, uuid.UUID(ticket_id))
        ticket.state, ticket.completed_at = TicketState.COMPLETED, datetime.now(UTC)
        ticket.sentiment_score, ticket.sentiment_label = score, "positive"
        ticket.tracker_names, ticket.summary = ["refund"], "A refund."
    await rows.add_insights(api.database, ticket, score=score)


async def get(client: httpx.AsyncClient, account: Account, path: str) -> httpx.Response:
    return await client.get(f"/api/tickets{path}", headers=authorize(account))


async def patch(
    client: httpx.AsyncClient, account: Account, ticket_id: str, body: Any, **headers: str
) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.patch(
        f"/api/tickets/{ticket_id}", json=body, headers=authorize(account) | names
    )


def build_event(ticket_id: str, data: Value, attempt: int = 1) -> Envelope:
    return ticket_events.EVENTS.build_event(
        data, company=CompanySlug("acme"), subject=ticket_id, attempt=attempt
    )


COMPLETED = ticket_events.Completed()
QUEUED = ticket_events.Queued(messages=2)


async def test_a_ticket_shows_its_conversation_at_once_and_its_insights_once_there_are_some(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await add(
        api, acme, external_id="Z-1", subject="Refund", tags=["billing"], extra={"brand": "x"}
    )
    before = (await get(client, acme, f"/{ticket_id}")).json()
    await complete(api, acme, ticket_id)
    after = (await get(client, acme, f"/{ticket_id}")).json()

    assert (before["state"], before["insights"]) == ("queued", None)
    assert [(m["index"], m["role"], m["author"], m["text"]) for m in before["messages"]] == [
        (0, "customer", "Ada", rows.TEXTS[0]),
        (1, "agent", "Bo", rows.TEXTS[1]),
    ]
    assert {"raw_text", "quoted", "redacted_text", "sentiment"} & before["messages"][0].keys() == (
        set()
    )
    assert (after["state"], after["external_id"], after["subject"]) == (
        "completed",
        "Z-1",
        "Refund",
    )
    assert (after["tags"], after["metadata"]) == (["billing"], {"brand": "x"})
    assert after["sentiment"] == {"score": 0.5, "label": "positive"}
    assert after["messages"][0]["sentiment"]["label"] == "positive"
    assert after["messages"][1]["redacted_text"] == "It was sent on [DAY]."
    assert after["insights"]["summary"]["text"] == "A refund."


async def test_insights_have_the_parts_that_there_are(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await add(api, acme)
    early = await get(client, acme, f"/{ticket_id}/insights")
    await complete(api, acme, ticket_id)
    insights = (await get(client, acme, f"/{ticket_id}/insights")).json()

    assert (early.status_code, support.problem_of(early)) == (409, "not_ready")
    assert early.headers["retry-after"]
    assert {"metrics", "pii", "conversation", "call_id"} & insights.keys() == set()
    assert [(run["name"], run["ok"]) for run in insights["analyzers"]] == [("sentiment", True)]


async def test_a_failed_analysis_has_no_insights_and_says_why(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await add(
        api, acme, state=TicketState.FAILED, error_code="internal", error_message="It broke."
    )

    assert (await get(client, acme, f"/{ticket_id}/insights")).status_code == 404
    error = (await get(client, acme, f"/{ticket_id}")).json()["error"]
    assert (error["code"], error["message"]) == ("internal", "It broke.")


async def test_a_known_etag_is_answered_without_a_body(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await add(api, acme)
    first = await get(client, acme, f"/{ticket_id}")
    known = authorize(acme) | {"If-None-Match": first.headers["etag"]}
    again = await client.get(f"/api/tickets/{ticket_id}", headers=known)
    await complete(api, acme, ticket_id)
    changed = await client.get(f"/api/tickets/{ticket_id}", headers=known)

    assert (again.status_code, again.content) == (304, b"")
    assert changed.status_code == 200


async def test_a_long_poll_answers_when_the_analysis_has_ended(
    api: Api, client: httpx.AsyncClient, acme: Account, api_bus: Bus
) -> None:
    ticket_id = await add(api, acme)
    waiting_ = asyncio.create_task(get(client, acme, f"/{ticket_id}?wait=20"))
    await waiting.wait_until(lambda: (support.count_listeners() or 0) > 0, 10, "it waits")
    await complete(api, acme, ticket_id)
    await api_bus.publish_event(build_event(ticket_id, COMPLETED))
    async with asyncio.timeout(10):
        answer = await waiting_

    assert answer.json()["state"] == "completed"


# --- lists ------------------------------------------------------------------------------------


async def test_a_list_is_narrowed_by_each_filter(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    user_id = await support.add_user(api.database, acme, "EXT-1")
    wanted = await add(
        api, acme,
        external_id="Z-1", channel="email", status="open", tags=["billing", "vip"],
        customer={"name": "Ada", "email": "ada@example.com", "external_id": "C-1"},
        user_id=uuid.UUID(user_id), created_at=datetime(2026, 3, 1, tzinfo=UTC),
    )  # fmt: skip
    await complete(api, acme, wanted)
    await add(api, acme, created_at=datetime(2026, 5, 1, tzinfo=UTC), tags=["bill"])
    filters = {
        "external_id": "Z-1", "channel": "email", "status": "open", "tag": "vip",
        "agent": user_id, "state": "completed", "sentiment": "positive", "tracker": "refund",
        "created_before": "2026-04-01T00:00:00Z",
    }  # fmt: skip
    queries: list[dict[str, str]] = [{name: value} for name, value in filters.items()]
    queries += [{"customer": name} for name in ("Ada", "Ada@Example.com", "C-1")]
    queries.append(filters)
    for query in queries:
        answer = await client.get("/api/tickets", params=query, headers=authorize(acme))

        assert [item["id"] for item in answer.json()["items"]] == [wanted], query
    for query in ({"customer": "Bo"}, {"tag": "bil"}, {"created_after": "2027-01-01T00:00:00Z"}):
        answer = await client.get("/api/tickets", params=query, headers=authorize(acme))

        assert answer.json()["items"] == [], query


async def test_pages_show_each_ticket_once_newest_first(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ids = [
        await add(api, acme, created_at=datetime(2026, 1, 1 + day, tzinfo=UTC)) for day in range(5)
    ]
    found, cursor = [], None
    while True:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/api/tickets", params=query, headers=authorize(acme))).json()
        found += [item["id"] for item in page["items"]]
        assert all("messages" not in item for item in page["items"])
        if not (cursor := page["next_cursor"]):
            break

    assert found == ids[::-1]


async def test_changes_come_oldest_first(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    first, second = await add(api, acme), await add(api, acme)
    began = (await get(client, acme, f"/{second}")).json()["updated_at"]
    await patch(client, acme, first, {"subject": "New"})
    page = await client.get(
        "/api/tickets", params={"updated_since": began}, headers=authorize(acme)
    )

    assert [item["id"] for item in page.json()["items"]] == [second, first]


# --- changes ----------------------------------------------------------------------------------


async def test_a_patch_changes_what_it_names_and_clears_with_null(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await add(
        api, acme,
        subject="Old", status="open", tags=["a"], extra={"a": 1, "b": {"c": 2, "d": 3}},
        customer={"name": "Ada", "phone": "1"},
    )  # fmt: skip
    answer = await patch(
        client, acme, ticket_id,
        {"status": None, "tags": ["x", "x", "y"], "customer": {"phone": None, "email": "a@b.c"},
         "metadata": {"a": None, "b": {"c": 4}}},
    )  # fmt: skip
    read = await get(client, acme, f"/{ticket_id}")

    assert answer.status_code == 200
    assert (answer.content, answer.headers["etag"]) == (read.content, read.headers["etag"])
    ticket = read.json()
    assert (ticket["subject"], ticket["status"], ticket["tags"]) == ("Old", None, ["x", "y"])
    assert ticket["customer"] == {"name": "Ada", "email": "a@b.c"}
    assert ticket["metadata"] == {"b": {"c": 4, "d": 3}}
    assert ticket["revision"] == 2


async def test_a_patch_that_changes_nothing_is_no_change(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await add(api, acme, subject="Same")
    before = await get(client, acme, f"/{ticket_id}")
    answer = await patch(client, acme, ticket_id, {"subject": "Same"})

    assert answer.content == before.content


async def test_of_two_editors_the_second_is_told_and_an_analysis_does_not_count(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await add(api, acme)
    old = (await get(client, acme, f"/{ticket_id}")).headers["etag"]
    await complete(api, acme, ticket_id)
    first = await patch(client, acme, ticket_id, {"subject": "New"}, If_Match=old)
    second = await patch(client, acme, ticket_id, {"subject": "Newer"}, If_Match=old)
    nonsense = await patch(client, acme, ticket_id, {"subject": "Newer"}, If_Match='"x"')
    any_ = await patch(client, acme, ticket_id, {"subject": "Newest"}, If_Match="*")

    assert first.status_code == any_.status_code == 200
    for refused in (second, nonsense):
        assert (refused.status_code, support.problem_of(refused)) == (412, "precondition_failed")
    assert (await get(client, acme, f"/{ticket_id}")).json()["subject"] == "Newest"


async def test_the_agent_is_changed_by_any_of_its_ids(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    user_id = await support.add_user(api.database, acme, "EXT-1")
    ticket_id = await add(api, acme)
    by_user = await patch(client, acme, ticket_id, {"agent": {"user_id": user_id}})
    nobody = await patch(client, acme, ticket_id, {"agent": None})
    by_extension = await patch(client, acme, ticket_id, {"agent": {"extension_id": "EXT-1"}})
    beside = await patch(client, acme, ticket_id, {"extension_id": "EXT-9"})
    unknown = await patch(client, acme, ticket_id, {"agent": {"user_id": NOBODYS}})

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
    ticket_id = await add(api, acme, subject="Old")
    answer = await patch(client, acme, ticket_id, {"status": "new"} | body)

    assert answer.status_code == 422, answer.text
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert (await get(client, acme, f"/{ticket_id}")).json()["revision"] == 1


async def test_unknown_members_are_told_once_or_refused(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await add(api, acme)
    answer = await patch(client, acme, ticket_id, {"subject": "New", "state": "completed"})
    strict = await patch(client, acme, f"{ticket_id}?strict=1", {"state": "completed"})
    read = await get(client, acme, f"/{ticket_id}")

    assert [item["code"] for item in answer.json()["warnings"]] == ["unknown_field"]
    assert (strict.status_code, support.problem_of(strict)) == (422, "unknown_field")
    assert (read.json()["warnings"], read.json()["state"]) == ([], "queued")
    assert read.headers["etag"] == answer.headers["etag"]


async def test_an_upload_with_the_content_from_before_a_patch_restores_it_in_mode_upsert_only(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    body = {"external_id": "S", "status": "open", "messages": [{"text": "Hi"}]}
    path, headers = "/api/tickets/upload", authorize(acme)
    ticket_id = (await client.post(path, json=body, headers=headers)).json()["ticket_id"]
    await patch(client, acme, ticket_id, {"status": "solved"})
    found = []
    for mode in ("create", "upsert", "upsert"):
        answer = await client.post(f"{path}?mode={mode}", json=body, headers=headers)
        status = (await get(client, acme, f"/{ticket_id}")).json()["status"]
        found.append((answer.json()["outcome"], status))

    assert found == [("unchanged", "solved"), ("updated", "open"), ("unchanged", "open")]


async def test_unknown_members_of_the_customer_are_told_or_refused(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await add(api, acme)
    body = {"customer": {"name": "Ada", "vip": True}}
    answer = await patch(client, acme, ticket_id, body)
    strict = await patch(client, acme, f"{ticket_id}?strict=1", body)

    assert answer.json()["customer"] == {"name": "Ada"}
    assert [item["detail"] for item in answer.json()["warnings"]] == [
        "The field 'customer/vip' cannot be changed."
    ]
    assert [error["pointer"] for error in strict.json()["errors"]] == ["/customer/vip"]


async def test_the_key_of_a_patch_may_stand_in_its_body(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    path = f"/api/tickets/{await add(api, acme)}"
    reader = await support.add_account(api.database, "reader", Scope.TICKETS_READ)
    other = await support.add_account(api.database, "other", Scope.TICKETS_WRITE)
    keys = [f" {acme.key} ", "", "pk_" + "0" * 40, reader.key, other.key]
    answers = [await client.patch(path, json={"api_key": key, "status": "x"}) for key in keys]

    assert [answer.status_code for answer in answers] == [200, 401, 401, 403, 404]
    assert "warnings" not in answers[0].json() or answers[0].json()["warnings"] == []


async def test_the_audit_names_fields_as_clients_do(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await add(api, acme)
    body = {"metadata": {"a": 1}, "agent": {"extension_id": "EXT-9"}, "subject": "New"}
    assert (await patch(client, acme, ticket_id, body)).status_code == 200
    async with api.database.system_session() as session:
        detail = await session.scalar(sa.select(col(tables.AuditEntry.detail)))

    assert detail is not None
    assert detail["fields"] == ["subject", "metadata", "extension_id", "agent"]


async def test_a_body_that_is_no_json_object_is_refused(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    path, headers = f"/api/tickets/{await add(api, acme)}", authorize(acme)
    form = await client.patch(path, data={"subject": "x"}, headers=headers)
    array = await patch(client, acme, path.rpartition("/")[2], [1])
    other_key = await patch(client, acme, path.rpartition("/")[2], {"api_key": "pk_other"})

    assert support.problem_of(form) == "unsupported_content_type"
    assert support.problem_of(array) == "malformed_request"
    assert support.problem_of(other_key) == "conflicting_credentials"


# --- analysing again --------------------------------------------------------------------------


async def find_job(bus: Bus, ticket_id: str) -> TicketDispatch:
    """Takes those of other tests too: they share one NATS."""
    async with asyncio.timeout(20):
        while True:
            jobs = await bus.pull_jobs(TicketDispatch, Priority.STANDARD, batch=50, wait_seconds=5)
            for delivery in jobs:
                await delivery.ack()
            for delivery in jobs:
                if delivery.value.ticket_id == ticket_id:
                    return delivery.value


OLD_FINDINGS = ("sentiment=positive", "tracker=refund")


async def test_an_analysis_is_asked_for_again_once_the_last_one_has_ended(
    api: Api, client: httpx.AsyncClient, acme: Account, api_bus: Bus
) -> None:
    ticket_id = await add(api, acme)
    path = f"/api/tickets/{ticket_id}/reanalyze"
    early = await client.post(path, headers=authorize(acme))
    await complete(api, acme, ticket_id)
    answer = await client.post(path, headers=authorize(acme))
    again = await client.post(path, headers=authorize(acme))
    insights = await get(client, acme, f"/{ticket_id}/insights")
    found = [(await get(client, acme, f"?{by}")).json()["items"] for by in OLD_FINDINGS]
    job = await find_job(api_bus, ticket_id)

    assert support.problem_of(early) == support.problem_of(again) == "not_ready"
    assert early.headers["retry-after"]
    assert answer.status_code == 202
    assert (answer.json()["state"], answer.json()["attempt"]) == ("queued", 2)
    assert insights.status_code == 409
    assert found == [[], []]
    assert answer.json()["summary"] is None
    assert job.attempt == 2
    assert job.document.content is not None
    assert rows.TEXTS[0] in job.document.content


# --- streams ----------------------------------------------------------------------------------


async def read_stream(client: httpx.AsyncClient, account: Account, path: str) -> list[str]:
    """The types of what comes until the stream ends."""
    async with asyncio.timeout(20):
        answer = await client.get(f"/api/tickets{path}", headers=authorize(account))
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.text.splitlines()
    return [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]


async def test_a_stream_goes_on_after_the_end_of_an_older_analysis(
    api: Api, client: httpx.AsyncClient, acme: Account, api_bus: Bus
) -> None:
    ticket_id = await add(api, acme, attempt=2)
    sequences = [
        await api_bus.publish_event(build_event(ticket_id, data, attempt))
        for attempt in (1, 2)
        for data in (QUEUED, COMPLETED)
    ]
    await complete(api, acme, ticket_id)
    types = await read_stream(client, acme, f"/{ticket_id}/events?from=0")
    behind_old_end = await read_stream(client, acme, f"/{ticket_id}/events?from={sequences[1]}")
    at_end = await get(client, acme, f"/{ticket_id}/events?from={sequences[3]}")

    assert types == ["ticket.queued", "ticket.completed"] * 2
    assert behind_old_end == ["ticket.queued", "ticket.completed"]
    assert at_end.status_code == 204


async def test_a_ticket_whose_events_are_gone_still_ends(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await add(api, acme)
    await complete(api, acme, ticket_id)

    assert await read_stream(client, acme, f"/{ticket_id}/events") == [
        "snapshot",
        "ticket.completed",
    ]


async def _until_data(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if line.startswith("data: "):
            return


async def test_the_stream_of_a_company_shows_its_tickets(
    api: Api, client: httpx.AsyncClient, acme: Account, api_bus: Bus
) -> None:
    ticket_id = await add(api, acme)
    event = build_event(ticket_id, QUEUED)
    path = "/api/events?kind=ticket"
    async with client.stream("GET", path, headers=authorize(acme)) as stream:
        lines = stream.aiter_lines()
        await waiting.wait_until(lambda: (support.count_listeners() or 0) > 0, 10, "it listens")
        await api_bus.publish_event(event)
        async with asyncio.timeout(10):
            found = [line async for line in _until_data(lines)]

    assert json.loads(found[-1].removeprefix("data: "))["subject"] == ticket_id


# --- deleting, and who may --------------------------------------------------------------------


async def test_what_is_deleted_is_gone_for_good(
    api: Api, client: httpx.AsyncClient, acme: Account, api_bus: Bus
) -> None:
    ticket_id = await add(api, acme, external_id="Z-1")
    folder = api.objects / "acme" / "tickets" / ticket_id
    folder.mkdir(parents=True)
    (folder / "document-1-00.json").write_text("{}")
    path = f"/api/tickets/{ticket_id}"
    answers = [await client.delete(path, headers=authorize(acme)) for _ in range(2)]
    gone = await client.get(path, headers=authorize(acme))
    listed = await client.get("/api/tickets?external_id=Z-1", headers=authorize(acme))

    assert [answer.status_code for answer in answers] == [204, 204]
    assert (gone.status_code, support.problem_of(gone)) == (410, "gone")
    assert listed.json()["items"] == []
    await waiting.wait_until(lambda: not api.list_objects(), 10, "the objects are gone")
    assert await api_bus.get_control(ticket_id) is ControlAction.CANCEL
    query = sa.select(col(tables.AuditEntry.action)).order_by(col(tables.AuditEntry.id))
    async with api.database.system_session() as session:
        assert (await session.scalars(query)).all() == ["ticket.deleted"]
        deletion = await session.scalar(sa.select(tables.Deletion))
    assert deletion is not None
    assert (deletion.kind, str(deletion.subject_id)) == (Kind.TICKET, ticket_id)


async def test_scopes_of_calls_open_no_tickets(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await add(api, acme)
    caller = await support.add_account(api.database, "caller", *(
        Scope.CALLS_READ, Scope.CALLS_WRITE
    ))  # fmt: skip
    reader = await support.add_account(api.database, "reader", Scope.TICKETS_READ)

    assert (await get(client, caller, "")).status_code == 403
    assert (await get(client, reader, "")).status_code == 200
    assert (await patch(client, reader, ticket_id, {})).status_code == 403
