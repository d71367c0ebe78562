"""Reading, following, changing and deleting tickets on the running stack, member by member."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e import ticket_desk
from tests.e2e.ticket_desk import Desk, Json, require_problem, talk

pytestmark = pytest.mark.asyncio(loop_scope="session")

LISTED_MEMBERS = {
    "id", "external_id", "subject", "channel", "status", "priority", "customer", "agent",
    "extension_id", "tags", "metadata", "state", "attempt", "lane", "language",
    "language_requested", "redact_pii", "message_count", "parse_confidence", "sentiment",
    "trackers", "summary", "timings", "warnings", "error", "revision", "created_at",
    "received_at", "updated_at", "queued_at", "started_at", "completed_at",
}  # fmt: skip
MESSAGE_MEMBERS = {"index", "id", "role", "author", "text", "created_at", "sentiment"}
INSIGHTS_MEMBERS = {
    "ticket_id", "attempt", "profile", "sentiment", "segment_sentiments", "keywords", "summary",
    "trackers", "conversation", "language", "pii", "redacted_texts", "analyzers", "extra",
}  # fmt: skip
RUN = ["ticket.queued", "ticket.started", "ticket.analyzed", "ticket.completed"]
CHANNEL = "filtered"
WANTED: Json = talk(
    "This is terrible, I want to cancel my contract because of the zeppelin.",
    "I am sorry to hear that.",
    external_id="F-1",
    subject="Cancellation",
    channel=CHANNEL,
    status="open",
    priority="high",
    tags=["billing", "vip"],
    customer={"name": "Ada", "email": "ada@example.com", "external_id": "C-1"},
    extension_id="EXT-4",
    created_at="2026-03-01T10:00:00Z",
    metadata={"brand": "x"},
)
OTHER = talk(
    "Thank you, everything works wonderfully.",
    external_id="F-2",
    channel=CHANNEL,
    tags=["bill"],
    created_at="2026-05-01T10:00:00Z",
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def wanted(desk: Desk) -> Json:
    """The ticket that filters should find, and another one beside it; both are analysed."""
    ids = [await desk.create(body) for body in (WANTED, OTHER)]
    tickets = [await desk.finish(id_) for id_ in ids]
    return tickets[0]


async def list_ids(desk: Desk, **filters: str | int) -> list[str]:
    answer = await desk.get("", **filters)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def test_a_ticket_is_read_with_all_its_members(desk: Desk, wanted: Json) -> None:
    answer = await desk.get(f"/{wanted['id']}/insights")
    listed = (await desk.get("", external_id="F-1")).json()

    assert wanted.keys() == LISTED_MEMBERS | {"messages", "insights"}
    assert [message.keys() for message in wanted["messages"]] == [MESSAGE_MEMBERS] * 2
    assert (answer.status_code, answer.json()) == (200, wanted["insights"])
    assert answer.json().keys() == INSIGHTS_MEMBERS
    assert listed.keys() == {"items", "next_cursor"}
    assert listed["items"] == [{name: wanted[name] for name in LISTED_MEMBERS}]
    same = (
        "external_id",
        "subject",
        "channel",
        "status",
        "priority",
        "tags",
        "customer",
        "metadata",
    )
    assert {name: wanted[name] for name in same} == {name: WANTED[name] for name in same}
    assert wanted["agent"] == {"id": desk.agent_id, "name": "Ann", "extension_id": "EXT-4"}
    assert (wanted["state"], wanted["attempt"], wanted["revision"]) == ("completed", 1, 1)
    assert (wanted["language"], wanted["trackers"]) == ("en", [ticket_desk.TRACKER.name])


FILTERS = [
    ("state", "completed", True),
    ("status", "open", False),
    ("customer", "Ada", False),
    ("customer", "Ada@Example.com", False),
    ("customer", "C-1", False),
    ("external_id", "F-1", False),
    ("channel", CHANNEL, True),
    ("tag", "billing", False),
    ("sentiment", "negative", False),
    ("tracker", ticket_desk.TRACKER.name, False),
    ("created_before", "2026-05-01T10:00:00Z", False),
    ("created_after", "2026-03-01T10:00:00Z", True),
    ("q", "zeppelin", False),
]


@pytest.mark.parametrize(("name", "value", "is_of_both"), FILTERS)
async def test_a_filter_narrows_the_list(
    desk: Desk, wanted: Json, name: str, value: str, is_of_both: bool
) -> None:
    found = await list_ids(desk, **{"channel": CHANNEL, name: value})
    others = await list_ids(desk, external_id="F-2")

    assert found == (others if is_of_both else []) + [wanted["id"]]


async def test_the_filter_of_an_agent_takes_the_users_id(desk: Desk, wanted: Json) -> None:
    assert await list_ids(desk, channel=CHANNEL, agent=desk.agent_id) == [wanted["id"]]


async def test_filters_that_nothing_matches(desk: Desk, wanted: Json) -> None:
    for filters in (
        {"status": "solved"}, {"tag": "bil"}, {"customer": "Bo"}, {"sentiment": "neutral"},
        {"created_after": "2026-06-01T00:00:00Z"}, {"q": "zeppelin -cancel"},
    ):  # fmt: skip
        assert await list_ids(desk, channel=CHANNEL, **filters) == [], filters


async def test_a_search_shows_where_it_found_the_words(desk: Desk, wanted: Json) -> None:
    [item] = (await desk.get("", q="zeppelin")).json()["items"]

    assert item.keys() == LISTED_MEMBERS | {"highlights"}
    assert item["id"] == wanted["id"]
    [highlight] = item["highlights"]
    assert (highlight["field"], highlight["index"]) == ("message", 0)
    assert {"text": "zeppelin", "match": True} in highlight["parts"]


async def test_a_list_comes_in_pages(desk: Desk, wanted: Json) -> None:
    first = (await desk.get("", channel=CHANNEL, limit=1)).json()
    second = (await desk.get("", channel=CHANNEL, limit=1, cursor=first["next_cursor"])).json()

    assert [item["external_id"] for item in first["items"]] == ["F-2"]
    assert [item["id"] for item in second["items"]] == [wanted["id"]]
    assert second["next_cursor"] is None


async def test_updated_since_lists_the_oldest_change_first(desk: Desk) -> None:
    began = datetime.now(UTC).isoformat()
    ids = [await desk.create(talk("Where is it?", channel="changes")) for _ in range(2)]
    for ticket_id in ids:
        await desk.finish(ticket_id)
    await desk.change(ids[0], {"status": "x"})

    assert await list_ids(desk, updated_since=began, channel="changes") == ids[::-1]


async def test_a_long_poll_waits_for_the_end_of_the_analysis_and_then_for_a_change(
    desk: Desk,
) -> None:
    ticket_id = await desk.create(talk("Where is my order?"))
    completed = await desk.get(f"/{ticket_id}", wait=20)
    known = {"If-None-Match": completed.headers["etag"]}
    path = f"/api/tickets/{ticket_id}"
    same = await desk.http.get(path, headers=known)
    polling = asyncio.create_task(desk.http.get(path, params={"wait": 20}, headers=known))
    await desk.change(ticket_id, {"subject": "New"})
    changed = await polling

    assert completed.json()["state"] == "completed"
    assert (same.status_code, same.content, same.headers["etag"]) == (
        304,
        b"",
        known["If-None-Match"],
    )
    assert (changed.status_code, changed.json()["subject"]) == (200, "New")
    assert changed.headers["etag"] != known["If-None-Match"]


async def test_events_come_in_the_order_of_a_ticket_s_life(desk: Desk) -> None:
    ticket_id = await desk.create(talk("Where is my order?"))

    live = await desk.list_events(ticket_id)
    whole = await desk.list_events(ticket_id, "?from=0")

    assert whole == RUN
    assert [type_ for type_ in live if type_ != "snapshot"] == RUN[-len(live) + 1 :]
    assert live[0] == "snapshot"


async def test_a_patch_changes_what_it_names(desk: Desk) -> None:
    ticket_id = await desk.create(
        talk("Where is my order?", customer={"name": "Ada", "phone": "1"})
    )
    before = await desk.get(f"/{ticket_id}", wait=20)
    body: Json = {
        "subject": "New", "status": "solved", "tags": ["a", "b"],
        "customer": {"phone": None, "email": "ada@example.com"},
        "agent": {"extension_id": "EXT-4"}, "metadata": {"brand": "y"},
    }  # fmt: skip

    answer = await desk.change(ticket_id, body)
    stale = await desk.change(ticket_id, {"status": "x"}, {"If-Match": before.headers["etag"]})
    strict = await desk.change(f"{ticket_id}?strict=1", {"state": "x"})

    after = answer.json()
    assert answer.status_code == 200
    changed = {name: value for name, value in after.items() if before.json()[name] != value}
    assert changed.pop("updated_at") > before.json()["updated_at"]
    assert changed == body | {
        "customer": {"name": "Ada", "email": "ada@example.com"},
        "agent": {"id": desk.agent_id, "name": "Ann", "extension_id": "EXT-4"},
        "extension_id": "EXT-4",
        "revision": 2,
    }
    require_problem(stale, 412, "precondition_failed")
    require_problem(strict, 422, "unknown_field", [("/state", "unknown_field")])
    assert (await desk.get(f"/{ticket_id}")).json() == after


async def test_a_ticket_is_analysed_again(desk: Desk) -> None:
    ticket_id = await desk.create(talk("Where is my order?"))
    first = await desk.finish(ticket_id)

    answer = await desk.http.post(f"/api/tickets/{ticket_id}/reanalyze")

    ticket: Any = answer.json()
    assert answer.status_code == 202
    assert ticket.keys() == LISTED_MEMBERS
    assert (ticket["state"], ticket["attempt"], ticket["sentiment"]) == ("queued", 2, None)
    second = await desk.finish(ticket_id)
    assert (second["attempt"], second["revision"]) == (2, 1)
    assert second["insights"]["sentiment"] == first["insights"]["sentiment"]
    assert await desk.list_events(ticket_id, "?from=0") == RUN * 2


async def test_a_deleted_ticket_is_gone(desk: Desk) -> None:
    ticket_id = await desk.create(talk("Where is my order?", external_id="deleted"))
    await desk.finish(ticket_id)

    answers = [await desk.http.delete(f"/api/tickets/{ticket_id}") for _ in range(2)]

    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 2
    for rest in ("", "/insights", "/events"):
        require_problem(await desk.get(f"/{ticket_id}{rest}"), 410, "gone")
    again = await desk.http.post(f"/api/tickets/{ticket_id}/reanalyze")
    require_problem(again, 410, "gone")
    require_problem(await desk.change(ticket_id, {}), 410, "gone")
    assert await list_ids(desk, external_id="deleted") == []


async def test_a_ticket_that_never_was_is_not_found(desk: Desk) -> None:
    nobodys = "00000000-0000-7000-8000-000000000000"

    require_problem(await desk.get(f"/{nobodys}"), 404, "not_found")
    require_problem(await desk.http.delete(f"/api/tickets/{nobodys}"), 404, "not_found")
