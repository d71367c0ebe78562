"""`POST /api/tickets/upload`: one ticket, many, pasted; agents and times."""

import pathlib
import uuid

import httpx
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.settings import Settings
from parlance.contracts.tickets import TicketDocument
from sqlmodel import col

from tests.integration.api_web import support
from tests.integration.api_web.support import Account
from tests.integration.api_web.tickets.uploads import support as uploads
from tests.integration.api_web.tickets.uploads.support import Sender


async def test_one_ticket_is_stored_with_its_document_and_sent(
    client: httpx.AsyncClient, database: Database, sender: Sender, settings: Settings
) -> None:
    question = "Where is it? " * 2000  # too large for a message
    body = uploads.talk(question, "On its way.", external_id="Z-1", subject="Parcel")

    response = await client.post(uploads.PATH, json=body)

    assert response.status_code == 201, response.text
    ticket_id = response.json()["ticket_id"]
    assert response.json() == {
        "success": True,
        "ticket_id": ticket_id,
        "message": "Ticket created and queued for analysis",
        "outcome": "created",
    }
    assert response.headers["location"] == f"/api/tickets/{ticket_id}"
    [ticket] = await uploads.fetch_all(database, tables.Ticket)
    assert (str(ticket.id), ticket.lane, ticket.message_count) == (ticket_id, "interactive", 2)
    assert [str(id_) for id_ in sender.sent] == [ticket_id]
    folder = pathlib.Path(settings.store.store_url.removeprefix("file://"))
    [path] = folder.rglob("document-*.json")
    document = TicketDocument.model_validate_json(path.read_bytes())
    assert [message.text for message in document.messages] == [question, "On its way."]


async def test_many_are_answered_one_by_one(
    client: httpx.AsyncClient, database: Database, sender: Sender
) -> None:
    wrong = {"messages": [{"role": "robot", "text": "x"}]}
    items = [
        uploads.talk("One", "Yes"),
        wrong,
        uploads.talk("Three"),
        {"subject": "nothing said"},
        7,
    ]

    response = await client.post(uploads.PATH, json={"tickets": items})

    body = response.json()
    assert response.status_code == 207, response.text
    assert [result["status"] for result in body["results"]] == [201, 422, 201, 422, 422]
    assert [result["index"] for result in body["results"]] == [0, 1, 2, 3, 4]
    counts = {name: value for name, value in body.items() if name != "results"}
    assert counts == {"success": False, "created": 2, "updated": 0, "unchanged": 0, "failed": 3}
    assert [body["results"][index]["code"] for index in (1, 3)] == [
        "invalid_role",
        "conversation_required",
    ]
    assert body["results"][1]["errors"][0]["pointer"] == "/tickets/1/messages/0/role"
    assert body["results"][0]["outcome"] == "created"
    tickets = await uploads.fetch_all(database, tables.Ticket)
    assert [ticket.lane for ticket in tickets] == ["standard", "standard"]
    assert (len(await uploads.fetch_all(database, tables.OutboxRow)), sender.sent) == (2, [])


async def test_nothing_accepted_of_many_is_a_problem_with_the_results(
    client: httpx.AsyncClient, database: Database
) -> None:
    items = [{"text": " "}, {"messages": [{"role": "x", "text": "y"}]}]

    response = await client.post(uploads.PATH, json={"tickets": items})

    assert (response.status_code, support.problem_of(response)) == (422, "validation_failed")
    body = response.json()
    assert (body["success"], body["created"], body["failed"]) == (False, 0, 2)
    assert [result["code"] for result in body["results"]] == ["conversation_empty", "invalid_role"]
    assert [error["pointer"] for error in body["errors"]] == [
        "/tickets/0/text",
        "/tickets/1/messages/0/role",
    ]
    assert await uploads.fetch_all(database, tables.Ticket) == []


async def test_agents_are_found_and_unknown_ones_are_no_reason_to_refuse(
    client: httpx.AsyncClient, database: Database, acme: Account
) -> None:
    user_id = await support.add_user(database, acme, "EXT-4")
    async with database.system_session() as session:
        user = await session.get_one(tables.User, uuid.UUID(user_id))
        user.email = "bo@example.com"
    items = [
        uploads.talk("a", external_id="a", extension_id="EXT-4"),
        uploads.talk("b", external_id="b", extension_id="EXT-5"),
        uploads.talk("c", external_id="c", agent_email="nobody@example.com"),
        uploads.talk("d", external_id="d", user_id=user_id, extension_id="EXT-5"),
        uploads.talk("e", user_id=str(uuid.uuid4())),
        uploads.talk("f", external_id="f", agent_email=" Bo@Example.com", extension_id="EXT-5"),
    ]

    response = await client.post(uploads.PATH, json={"tickets": items})

    results = response.json()["results"]
    assert [result.get("warnings", [{}])[0].get("code") for result in results] == [
        None, "extension_unknown", "agent_unknown", None, None, None,
    ]  # fmt: skip
    assert results[4]["errors"][0]["pointer"] == "/tickets/4/user_id"
    async with database.system_session() as session:
        query = sa.select(col(tables.Ticket.user_id)).order_by(col(tables.Ticket.external_id))
        found = (await session.scalars(query)).all()
    assert [str(id_) if id_ else None for id_ in found] == [
        user_id, None, None, user_id, user_id,
    ]  # fmt: skip


async def test_a_pasted_conversation_says_how_sure_it_is(
    client: httpx.AsyncClient, database: Database
) -> None:
    sure = await client.post(
        uploads.PATH, json={"text": "Agent: Good morning.\nCustomer: Where is it?"}
    )
    unsure = await client.post(
        uploads.PATH, json={"text": "I bought this in May and it broke in June"}
    )

    assert (sure.status_code, unsure.status_code) == (201, 201)
    assert 0.5 < sure.json()["parse_confidence"] <= 1
    assert [warning["code"] for warning in unsure.json()["warnings"]] == ["conversation_unparsed"]
    contents = {
        len(row.messages): row for row in await uploads.fetch_all(database, tables.TicketContent)
    }
    assert contents[2].raw_text == "Agent: Good morning.\nCustomer: Where is it?"
    assert contents[1].messages[0]["role"] == "unknown"


async def test_times_without_a_zone_are_those_of_the_company(
    client: httpx.AsyncClient, database: Database, acme: Account
) -> None:
    async with database.system_session() as session:
        company = await session.get_one(tables.Company, acme.id)
        company.time_zone = "Europe/Berlin"

    response = await client.post(
        uploads.PATH, json=uploads.talk("Hi", created_at="2026-07-01T10:00:00")
    )

    assert [warning["code"] for warning in response.json()["warnings"]] == ["zone_assumed"]
    [ticket] = await uploads.fetch_all(database, tables.Ticket)
    assert ticket.created_at.isoformat() == "2026-07-01T08:00:00+00:00"
