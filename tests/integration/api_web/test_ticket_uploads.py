"""`POST /api/tickets/upload`: one ticket, many, pasted; what comes again; what is refused."""

import asyncio
import json
import pathlib
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from litestar import Router
from litestar.di import Provide
from parlance.api import asgi
from parlance.api.db import session as db_session
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.domain.tickets import limits
from parlance.api.domain.tickets.uploads import routes
from parlance.api.domain.tickets.uploads.routes import TicketUploads
from parlance.api.http.areas import Area
from parlance.api.identity.guard import Gate
from parlance.api.identity.keys import KeyRing
from parlance.api.identity.scopes import Scope
from parlance.api.outbox.relay import Relay
from parlance.api.settings import Settings
from parlance.api.wiring import Wired
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.tickets import TicketDocument
from parlance.runtime import store as store_module
from parlance.runtime.clock import SystemClock
from parlance.runtime.errors import Permanent
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from tests.integration.api_web import support
from tests.integration.api_web.support import Account
from tests.unit.api.applications import Nothing

PATH = routes.UPLOAD_PATH


@dataclass
class Sender:
    """Takes what the relay sends."""

    kind: str = Kind.TICKET
    sent: list[uuid.UUID] = field(default_factory=list)

    async def count_room(self, *, is_inline: bool) -> int:
        return 1000

    async def find_wanted(
        self, session: AsyncSession, subject_ids: Sequence[uuid.UUID]
    ) -> set[uuid.UUID]:
        return set(subject_ids)

    async def send(self, row: tables.OutboxRow) -> bool:
        self.sent.append(row.subject_id)
        return True

    async def give_up(self, row: tables.OutboxRow, refusal: Permanent) -> None:
        raise AssertionError


@pytest.fixture
def sender() -> Sender:
    return Sender()


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with db_session.open_database(settings.database) as opened:
        yield opened


@pytest.fixture
async def acme(database: Database) -> Account:
    return await support.add_account(database, "acme", Scope.TICKETS_WRITE)


@pytest.fixture
async def anyone(
    settings: Settings, database: Database, sender: Sender
) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key, of an application that has this route only."""
    nothing: Any = Nothing()
    clock = SystemClock()
    gate = Gate(KeyRing(database, clock))
    async with store_module.open_store(settings.store) as store:
        uploads = TicketUploads.build(
            database, store, Relay(database, [sender], clock), clock, gate
        )
        router = Router(
            "/",
            route_handlers=[routes.add_tickets],
            dependencies={"ticket_uploads": Provide(lambda: uploads, sync_to_thread=False)},
        )
        area = Area(router, (limits.build_limits(),), (PATH,))
        wired = Wired((area,), gate, nothing, nothing, asyncio.Event())
        app: Any = asgi.create_app(settings.http, wired)  # its own names for the same protocol
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            yield client


@pytest.fixture
def client(anyone: httpx.AsyncClient, acme: Account) -> httpx.AsyncClient:
    """With the key of acme in a header."""
    anyone.headers["X-Api-Key"] = acme.key
    return anyone


def talk(*texts: str, **more: Any) -> dict[str, Any]:
    messages = [
        {"role": ("customer", "agent")[number % 2], "text": text}
        for number, text in enumerate(texts)
    ]
    return {"messages": messages, **more}


async def fetch_all(database: Database, table: type[tables.Table]) -> list[Any]:
    async with database.system_session() as session:
        return list((await session.scalars(sa.select(table))).all())


async def test_one_ticket_is_stored_with_its_document_and_sent(
    client: httpx.AsyncClient, database: Database, sender: Sender, settings: Settings
) -> None:
    question = "Where is it? " * 2000  # too large for a message
    body = talk(question, "On its way.", external_id="Z-1", subject="Parcel")

    response = await client.post(PATH, json=body)

    assert response.status_code == 201, response.text
    ticket_id = response.json()["ticket_id"]
    assert response.json() == {
        "success": True,
        "ticket_id": ticket_id,
        "message": "Ticket created and queued for analysis",
        "outcome": "created",
    }
    assert response.headers["location"] == f"/api/tickets/{ticket_id}"
    [ticket] = await fetch_all(database, tables.Ticket)
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
    items = [talk("One", "Yes"), wrong, talk("Three"), {"subject": "nothing said"}, 7]

    response = await client.post(PATH, json={"tickets": items})

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
    tickets = await fetch_all(database, tables.Ticket)
    assert [ticket.lane for ticket in tickets] == ["standard", "standard"]
    assert (len(await fetch_all(database, tables.OutboxRow)), sender.sent) == (2, [])


async def test_nothing_accepted_of_many_is_a_problem_with_the_results(
    client: httpx.AsyncClient, database: Database
) -> None:
    items = [{"text": " "}, {"messages": [{"role": "x", "text": "y"}]}]

    response = await client.post(PATH, json={"tickets": items})

    assert (response.status_code, support.problem_of(response)) == (422, "validation_failed")
    body = response.json()
    assert (body["success"], body["created"], body["failed"]) == (False, 0, 2)
    assert [result["code"] for result in body["results"]] == ["conversation_empty", "invalid_role"]
    assert [error["pointer"] for error in body["errors"]] == [
        "/tickets/0/text",
        "/tickets/1/messages/0/role",
    ]
    assert await fetch_all(database, tables.Ticket) == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"subject": "x"}, 422, "conversation_required"),
        ({"messages": []}, 422, "conversation_required"),
        (talk("Hi", text="Agent: hi"), 422, "conversation_ambiguous"),
        (talk("  ", "\n\t\u00a0"), 422, "conversation_empty"),
        (talk("<p> </p><script>x()</script>"), 422, "conversation_empty"),
        ({"text": " \n "}, 422, "conversation_empty"),
        (talk("Hi", created_at="1969-12-31T23:59:59Z"), 422, "invalid_time"),
        (talk("Hi", created_at=""), 422, "invalid_time"),
        (talk("Hi", created_at=17408160001), 422, "invalid_time"),
        (talk("Hi", created_at=True), 422, "invalid_time"),
        (talk("Hi", external_id=12345678901234567890), 422, "validation_failed"),
        (talk("Hi", user_id=str(uuid.uuid4())), 422, "user_not_found"),
        (talk("x" * (64 * 1024 + 1)), 413, "text_too_long"),
        (talk(*["x" * 60_000] * 18), 413, "text_too_long"),
        (talk(*["x"] * 2001), 413, "too_many_messages"),
        ({"tickets": []}, 422, "items_required"),
        ({"tickets": {}}, 422, "validation_failed"),
        ({"tickets": [talk("x")] * 1001}, 413, "too_many_items"),
        ({"tickets": [talk("x")], "messages": []}, 200, None),
        ({"tickets": [talk("x")], "text": "y"}, 422, "conversation_ambiguous"),
    ],
)
async def test_each_mistake_has_its_name(
    client: httpx.AsyncClient, body: Any, status: int, code: str | None
) -> None:
    response = await client.post(PATH, json=body)

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
    response = await client.post(PATH, content=data, headers={"Content-Type": "application/json"})

    assert (response.status_code, support.problem_of(response)) == (status, code)


async def test_another_type_of_body_is_refused(client: httpx.AsyncClient) -> None:
    response = await client.post(PATH, data={"text": "x"})

    assert (response.status_code, support.problem_of(response)) == (
        415,
        "unsupported_content_type",
    )


async def test_the_key_may_stand_in_the_body_and_is_stored_nowhere(
    anyone: httpx.AsyncClient, acme: Account, database: Database, settings: Settings
) -> None:
    body = talk("Hello? " * 3000, external_id="K-1")  # too large for a message

    accepted = await anyone.post(PATH, json=body | {"api_key": acme.key})
    refused = await anyone.post(PATH, json=body | {"api_key": "pk_" + "0" * 40})
    missing = await anyone.post(PATH, json=body)
    in_header = await anyone.post(PATH, json=body, headers={"X-Api-Key": acme.key})

    assert accepted.status_code == 201, accepted.text
    assert "warnings" not in accepted.json()
    assert (refused.status_code, missing.status_code) == (401, 401)
    assert in_header.json()["outcome"] == "unchanged"  # the key is no part of the content
    stored = [
        str(row)
        for table in (tables.Ticket, tables.TicketContent, tables.OutboxRow, tables.AuditEntry)
        for row in await fetch_all(database, table)
    ]
    folder = pathlib.Path(settings.store.store_url.removeprefix("file://"))
    files = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    assert not any(acme.key in text for text in stored + files)


async def test_the_same_again_changes_nothing(
    client: httpx.AsyncClient, database: Database
) -> None:
    body = talk("Is it open?", "Until five.", external_id="R", tags=["b", "a"])
    first = await client.post(PATH, json=body)
    data = json.dumps(dict(reversed(body.items())), indent=3).encode()

    again = await client.post(PATH, content=data, headers={"Content-Type": "application/json"})
    in_bulk = await client.post(PATH, json={"tickets": [body]})

    assert (again.status_code, again.json()["outcome"]) == (200, "unchanged")
    assert again.json()["ticket_id"] == first.json()["ticket_id"]
    assert (in_bulk.status_code, in_bulk.json()["unchanged"]) == (200, 1)
    [ticket] = await fetch_all(database, tables.Ticket)
    assert (ticket.attempt, ticket.revision) == (1, 1)


async def test_other_content_is_a_conflict_unless_it_is_meant_to_replace(
    client: httpx.AsyncClient, database: Database
) -> None:
    first = await client.post(PATH, json=talk("Old", external_id="C", subject="Bad"))
    ticket_id = first.json()["ticket_id"]

    refused = await client.post(PATH, json=talk("New", external_id="C"))
    replaced = await client.post(f"{PATH}?mode=upsert", json=talk("New", "Ok", external_id="C"))

    assert (refused.status_code, support.problem_of(refused)) == (409, "ticket_conflict")
    assert refused.json()["existing_ticket_id"] == ticket_id
    assert (replaced.status_code, replaced.json()["outcome"]) == (200, "updated")
    assert replaced.json()["ticket_id"] == ticket_id
    [ticket] = await fetch_all(database, tables.Ticket)
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
    await client.post(PATH, json={"external_id": "A", "messages": [one, two]})
    body = {"external_id": "A", "messages": [one, two, three]}

    outcomes = [
        (await client.post(f"{PATH}?mode=append", json=body)).json()["outcome"] for _ in range(2)
    ]

    assert outcomes == ["updated", "unchanged"]
    [content] = await fetch_all(database, tables.TicketContent)
    assert [message["text"] for message in content.messages] == ["One", "Two", "Two"]
    assert [message["index"] for message in content.messages] == [0, 1, 2]


async def test_a_whole_upload_after_an_append_replaces_what_was_appended(
    client: httpx.AsyncClient, database: Database
) -> None:
    old, new = talk("A", external_id="W"), talk("B", external_id="W")
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
        response = await client.post(f"{PATH}?mode={mode}", json=body)
        assert response.json()["outcome"] == outcome, (mode, body)

    [content] = await fetch_all(database, tables.TicketContent)
    assert [message["text"] for message in content.messages] == ["B"]


async def test_what_was_appended_is_a_conflict_as_a_whole_upload(
    client: httpx.AsyncClient,
) -> None:
    await client.post(PATH, json=talk("A", external_id="W"))
    await client.post(f"{PATH}?mode=append", json=talk("B", external_id="W"))

    response = await client.post(PATH, json=talk("B", external_id="W"))

    assert (response.status_code, support.problem_of(response)) == (409, "ticket_conflict")


async def test_the_second_of_one_request_is_refused(
    client: httpx.AsyncClient, database: Database
) -> None:
    items = [talk("First", external_id="D"), talk("Between"), talk("Second", external_id="D")]

    response = await client.post(PATH, json={"tickets": items})

    result = response.json()["results"][2]
    assert (response.status_code, result["status"]) == (207, 409)
    assert (result["code"], result["first_index"]) == ("duplicate_in_request", 0)
    assert len(await fetch_all(database, tables.Ticket)) == 2


async def test_a_repeated_idempotency_key_gives_the_first_answer(
    client: httpx.AsyncClient, database: Database
) -> None:
    headers = {"Idempotency-Key": "one"}
    first = await client.post(PATH, json=talk("No id"), headers=headers)

    again = await client.post(PATH, json=talk("No id"), headers=headers)
    other = await client.post(PATH, json=talk("Else"), headers=headers)
    other_mode = await client.post(f"{PATH}?mode=upsert", json=talk("No id"), headers=headers)

    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert support.problem_of(other) == support.problem_of(other_mode) == "idempotency_mismatch"
    assert len(await fetch_all(database, tables.Ticket)) == 1


async def test_fifty_equal_posts_make_one_ticket(
    client: httpx.AsyncClient, database: Database
) -> None:
    body = talk("Hi", "Hello", external_id="P")

    responses = await asyncio.gather(*(client.post(PATH, json=body) for _ in range(50)))

    outcomes = sorted((r.status_code, r.json()["outcome"]) for r in responses)
    assert outcomes == [(200, "unchanged")] * 49 + [(201, "created")]
    assert len({r.json()["ticket_id"] for r in responses}) == 1
    assert len(await fetch_all(database, tables.Ticket)) == 1


async def test_unknown_fields_are_told_and_refused_when_strict(
    client: httpx.AsyncClient,
) -> None:
    body = talk("Hi", colour="red", customer={"name": "Ada", "vip": True})

    accepted = await client.post(PATH, json=body)
    refused = await client.post(f"{PATH}?strict=1", json=body)

    assert [warning["code"] for warning in accepted.json()["warnings"]] == ["unknown_field"] * 2
    assert (refused.status_code, support.problem_of(refused)) == (422, "unknown_field")
    assert [error["pointer"] for error in refused.json()["errors"]] == [
        "/colour",
        "/customer/vip",
    ]


async def test_agents_are_found_and_unknown_ones_are_no_reason_to_refuse(
    client: httpx.AsyncClient, database: Database, acme: Account
) -> None:
    user_id = await support.add_user(database, acme, "EXT-4")
    async with database.system_session() as session:
        user = await session.get_one(tables.User, uuid.UUID(user_id))
        user.email = "bo@example.com"
    items = [
        talk("a", external_id="a", extension_id="EXT-4"),
        talk("b", external_id="b", extension_id="EXT-5"),
        talk("c", external_id="c", agent_email="nobody@example.com"),
        talk("d", external_id="d", user_id=user_id, extension_id="EXT-5"),
        talk("e", user_id=str(uuid.uuid4())),
        talk("f", external_id="f", agent_email=" Bo@Example.com", extension_id="EXT-5"),
    ]

    response = await client.post(PATH, json={"tickets": items})

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
    sure = await client.post(PATH, json={"text": "Agent: Good morning.\nCustomer: Where is it?"})
    unsure = await client.post(PATH, json={"text": "I bought this in May and it broke in June"})

    assert (sure.status_code, unsure.status_code) == (201, 201)
    assert 0.5 < sure.json()["parse_confidence"] <= 1
    assert [warning["code"] for warning in unsure.json()["warnings"]] == ["conversation_unparsed"]
    contents = {len(row.messages): row for row in await fetch_all(database, tables.TicketContent)}
    assert contents[2].raw_text == "Agent: Good morning.\nCustomer: Where is it?"
    assert contents[1].messages[0]["role"] == "unknown"


async def test_times_without_a_zone_are_those_of_the_company(
    client: httpx.AsyncClient, database: Database, acme: Account
) -> None:
    async with database.system_session() as session:
        company = await session.get_one(tables.Company, acme.id)
        company.time_zone = "Europe/Berlin"

    response = await client.post(PATH, json=talk("Hi", created_at="2026-07-01T10:00:00"))

    assert [warning["code"] for warning in response.json()["warnings"]] == ["zone_assumed"]
    [ticket] = await fetch_all(database, tables.Ticket)
    assert ticket.created_at.isoformat() == "2026-07-01T08:00:00+00:00"


async def test_strangers_with_long_bodies_take_turns(
    anyone: httpx.AsyncClient, acme: Account
) -> None:
    body = {"api_key": acme.key, "tickets": [talk(*["word " * 10_000] * 20) for _ in range(5)]}

    responses = await asyncio.gather(*(anyone.post(PATH, json=body) for _ in range(4)))

    assert [response.status_code for response in responses] == [200] * 4


async def test_the_limits_are_published(client: httpx.AsyncClient) -> None:
    limits_ = (await client.get("/api/limits")).json()["tickets"]

    assert (limits_["max_items"], limits_["max_messages"]) == (1000, 2000)
    assert limits_["max_body_bytes"] == 16 * 1024 * 1024
