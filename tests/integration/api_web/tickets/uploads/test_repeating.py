"""Tickets that are sent again: unchanged, in conflict, replaced, appended to, replayed."""

import asyncio
import json

import httpx
from parlance.api.db import tables
from parlance.api.db.session import Database

from tests.integration.api_web import support
from tests.integration.api_web.tickets.uploads import support as uploads


async def test_the_same_again_changes_nothing(
    client: httpx.AsyncClient, database: Database
) -> None:
    body = uploads.talk("Is it open?", "Until five.", external_id="R", tags=["b", "a"])
    first = await client.post(uploads.PATH, json=body)
    data = json.dumps(dict(reversed(body.items())), indent=3).encode()

    again = await client.post(
        uploads.PATH, content=data, headers={"Content-Type": "application/json"}
    )
    in_bulk = await client.post(uploads.PATH, json={"tickets": [body]})

    assert (again.status_code, again.json()["outcome"]) == (200, "unchanged")
    assert again.json()["ticket_id"] == first.json()["ticket_id"]
    assert (in_bulk.status_code, in_bulk.json()["unchanged"]) == (200, 1)
    [ticket] = await uploads.fetch_all(database, tables.Ticket)
    assert (ticket.attempt, ticket.revision) == (1, 1)


async def test_other_content_is_a_conflict_unless_it_is_meant_to_replace(
    client: httpx.AsyncClient, database: Database
) -> None:
    first = await client.post(
        uploads.PATH, json=uploads.talk("Old", external_id="C", subject="Bad")
    )
    ticket_id = first.json()["ticket_id"]

    refused = await client.post(uploads.PATH, json=uploads.talk("New", external_id="C"))
    replaced = await client.post(
        f"{uploads.PATH}?mode=upsert", json=uploads.talk("New", "Ok", external_id="C")
    )

    assert (refused.status_code, support.problem_of(refused)) == (409, "ticket_conflict")
    assert refused.json()["existing_ticket_id"] == ticket_id
    assert (replaced.status_code, replaced.json()["outcome"]) == (200, "updated")
    assert replaced.json()["ticket_id"] == ticket_id
    [ticket] = await uploads.fetch_all(database, tables.Ticket)
    assert (ticket.subject, ticket.attempt, ticket.revision, ticket.message_count) == (
        None,
        2,
        2,
        2,
    )


async def test_messages_that_are_new_are_appended(
    client: httpx.AsyncClient, database: Database
) -> None:
    at = "2026-03-01T10:00:00Z"
    one = {"id": "m1", "role": "customer", "author": "Ada", "text": "One", "created_at": at}
    two = {"role": "agent", "author": "Bo", "text": "Two", "created_at": at}
    three = one | {"id": "m3", "text": "Two", "created_at": "2026-03-01T11:00:00Z"}
    await client.post(uploads.PATH, json={"external_id": "A", "messages": [one, two]})
    body = {"external_id": "A", "messages": [one, two, three]}

    outcomes = [
        (await client.post(f"{uploads.PATH}?mode=append", json=body)).json()["outcome"]
        for _ in range(2)
    ]

    assert outcomes == ["updated", "unchanged"]
    [content] = await uploads.fetch_all(database, tables.TicketContent)
    assert [message["text"] for message in content.messages] == ["One", "Two", "Two"]
    assert [message["index"] for message in content.messages] == [0, 1, 2]


async def test_a_whole_upload_after_an_append_replaces_what_was_appended(
    client: httpx.AsyncClient, database: Database
) -> None:
    old, new = uploads.talk("A", external_id="W"), uploads.talk("B", external_id="W")
    for mode, body, outcome in [
        ("create", old, "created"),
        ("append", new, "updated"),
        ("append", new, "unchanged"),
        ("create", old, "unchanged"),
        ("upsert", new, "updated"),
        ("upsert", new, "unchanged"),
        ("append", old, "updated"),
        ("upsert", new, "updated"),
    ]:
        response = await client.post(f"{uploads.PATH}?mode={mode}", json=body)
        assert response.json()["outcome"] == outcome, (mode, body)

    [content] = await uploads.fetch_all(database, tables.TicketContent)
    assert [message["text"] for message in content.messages] == ["B"]


async def test_what_was_appended_is_a_conflict_as_a_whole_upload(
    client: httpx.AsyncClient,
) -> None:
    await client.post(uploads.PATH, json=uploads.talk("A", external_id="W"))
    await client.post(f"{uploads.PATH}?mode=append", json=uploads.talk("B", external_id="W"))

    response = await client.post(uploads.PATH, json=uploads.talk("B", external_id="W"))

    assert (response.status_code, support.problem_of(response)) == (409, "ticket_conflict")


async def test_the_second_of_one_request_is_refused(
    client: httpx.AsyncClient, database: Database
) -> None:
    items = [
        uploads.talk("First", external_id="D"),
        uploads.talk("Between"),
        uploads.talk("Second", external_id="D"),
    ]

    response = await client.post(uploads.PATH, json={"tickets": items})

    result = response.json()["results"][2]
    assert (response.status_code, result["status"]) == (207, 409)
    assert (result["code"], result["first_index"]) == ("duplicate_in_request", 0)
    assert len(await uploads.fetch_all(database, tables.Ticket)) == 2


async def test_a_repeated_idempotency_key_gives_the_first_answer(
    client: httpx.AsyncClient, database: Database
) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await client.post(uploads.PATH, json=uploads.talk("No id"), headers=headers)

    again = await client.post(uploads.PATH, json=uploads.talk("No id"), headers=headers)
    other = await client.post(uploads.PATH, json=uploads.talk("Else"), headers=headers)
    other_mode = await client.post(
        f"{uploads.PATH}?mode=upsert", json=uploads.talk("No id"), headers=headers
    )

    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert support.problem_of(other) == support.problem_of(other_mode) == "idempotency_mismatch"
    assert len(await uploads.fetch_all(database, tables.Ticket)) == 1


async def test_fifty_equal_posts_make_one_ticket(
    client: httpx.AsyncClient, database: Database
) -> None:
    body = uploads.talk("Hi", "Hello", external_id="P")

    responses = await asyncio.gather(*(client.post(uploads.PATH, json=body) for _ in range(50)))

    outcomes = sorted((r.status_code, r.json()["outcome"]) for r in responses)
    assert outcomes == [(200, "unchanged")] * 49 + [(201, "created")]
    assert len({r.json()["ticket_id"] for r in responses}) == 1
    assert len(await uploads.fetch_all(database, tables.Ticket)) == 1
