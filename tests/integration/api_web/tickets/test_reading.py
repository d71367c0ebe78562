"""One ticket as it is read, and lists of tickets with their filters."""

import asyncio
import uuid
from datetime import UTC, datetime

import httpx
from parlance.api.identity.scopes import Scope
from parlance.contracts.tickets import TicketState
from parlance.runtime.bus import Bus

from devstack import waiting
from tests.integration.api_db.tickets import support as rows
from tests.integration.api_web import support
from tests.integration.api_web.support import Account, Api
from tests.integration.api_web.tickets import support as tickets


async def test_a_ticket_shows_its_conversation_at_once_and_its_insights_once_there_are_some(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await tickets.add(
        api, acme, external_id="Z-1", subject="Refund", tags=["billing"], extra={"brand": "x"}
    )
    before = (await tickets.get(client, acme, f"/{ticket_id}")).json()
    await tickets.complete(api, acme, ticket_id)
    after = (await tickets.get(client, acme, f"/{ticket_id}")).json()

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
    ticket_id = await tickets.add(api, acme)
    early = await tickets.get(client, acme, f"/{ticket_id}/insights")
    await tickets.complete(api, acme, ticket_id)
    insights = (await tickets.get(client, acme, f"/{ticket_id}/insights")).json()

    assert (early.status_code, support.problem_of(early)) == (409, "not_ready")
    assert early.headers["retry-after"]
    assert {"metrics", "pii", "conversation", "call_id"} & insights.keys() == set()
    assert [(run["name"], run["ok"]) for run in insights["analyzers"]] == [("sentiment", True)]


async def test_a_failed_analysis_has_no_insights_and_says_why(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await tickets.add(
        api, acme, state=TicketState.FAILED, error_code="internal", error_message="It broke."
    )

    assert (await tickets.get(client, acme, f"/{ticket_id}/insights")).status_code == 404
    error = (await tickets.get(client, acme, f"/{ticket_id}")).json()["error"]
    assert (error["code"], error["message"]) == ("internal", "It broke.")


async def test_a_known_etag_is_answered_without_a_body(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await tickets.add(api, acme)
    first = await tickets.get(client, acme, f"/{ticket_id}")
    known = support.authorize(acme) | {"If-None-Match": first.headers["etag"]}
    again = await client.get(f"/api/tickets/{ticket_id}", headers=known)
    await tickets.complete(api, acme, ticket_id)
    changed = await client.get(f"/api/tickets/{ticket_id}", headers=known)

    assert (again.status_code, again.content) == (304, b"")
    assert changed.status_code == 200


async def test_a_long_poll_answers_when_the_analysis_has_ended(
    api: Api, client: httpx.AsyncClient, acme: Account, api_bus: Bus
) -> None:
    ticket_id = await tickets.add(api, acme)
    waiting_ = asyncio.create_task(tickets.get(client, acme, f"/{ticket_id}?wait=20"))
    await waiting.wait_until(lambda: (support.count_listeners() or 0) > 0, 10, "it waits")
    await tickets.complete(api, acme, ticket_id)
    await api_bus.publish_event(tickets.build_event(ticket_id, tickets.COMPLETED))
    async with asyncio.timeout(10):
        answer = await waiting_

    assert answer.json()["state"] == "completed"


async def test_a_list_is_narrowed_by_each_filter(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    user_id = await support.add_user(api.database, acme, "EXT-1")
    wanted = await tickets.add(
        api, acme,
        external_id="Z-1", channel="email", status="open", tags=["billing", "vip"],
        customer={"name": "Ada", "email": "ada@example.com", "external_id": "C-1"},
        user_id=uuid.UUID(user_id), created_at=datetime(2026, 3, 1, tzinfo=UTC),
    )  # fmt: skip
    await tickets.complete(api, acme, wanted)
    await tickets.add(api, acme, created_at=datetime(2026, 5, 1, tzinfo=UTC), tags=["bill"])
    filters = {
        "external_id": "Z-1", "channel": "email", "status": "open", "tag": "vip",
        "agent": user_id, "state": "completed", "sentiment": "positive", "tracker": "refund",
        "created_before": "2026-04-01T00:00:00Z",
    }  # fmt: skip
    queries: list[dict[str, str]] = [{name: value} for name, value in filters.items()]
    queries += [{"customer": name} for name in ("Ada", "Ada@Example.com", "C-1")]
    queries.append(filters)
    for query in queries:
        answer = await client.get("/api/tickets", params=query, headers=support.authorize(acme))

        assert [item["id"] for item in answer.json()["items"]] == [wanted], query
    for query in ({"customer": "Bo"}, {"tag": "bil"}, {"created_after": "2027-01-01T00:00:00Z"}):
        answer = await client.get("/api/tickets", params=query, headers=support.authorize(acme))

        assert answer.json()["items"] == [], query


async def test_pages_show_each_ticket_once_newest_first(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ids = [
        await tickets.add(api, acme, created_at=datetime(2026, 1, 1 + day, tzinfo=UTC))
        for day in range(5)
    ]
    found, cursor = [], None
    while True:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (
            await client.get("/api/tickets", params=query, headers=support.authorize(acme))
        ).json()
        found += [item["id"] for item in page["items"]]
        assert all("messages" not in item for item in page["items"])
        if not (cursor := page["next_cursor"]):
            break

    assert found == ids[::-1]


async def test_changes_come_oldest_first(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    first, second = await tickets.add(api, acme), await tickets.add(api, acme)
    began = (await tickets.get(client, acme, f"/{second}")).json()["updated_at"]
    await tickets.patch(client, acme, first, {"subject": "New"})
    page = await client.get(
        "/api/tickets", params={"updated_since": began}, headers=support.authorize(acme)
    )

    assert [item["id"] for item in page.json()["items"]] == [second, first]


async def test_scopes_of_calls_open_no_tickets(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await tickets.add(api, acme)
    caller = await support.add_account(api.database, "caller", *(
        Scope.CALLS_READ, Scope.CALLS_WRITE
    ))  # fmt: skip
    reader = await support.add_account(api.database, "reader", Scope.TICKETS_READ)

    assert (await tickets.get(client, caller, "")).status_code == 403
    assert (await tickets.get(client, reader, "")).status_code == 200
    assert (await tickets.patch(client, reader, ticket_id, {})).status_code == 403
