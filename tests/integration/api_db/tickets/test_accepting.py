"""Uploads of tickets against a real database: what is stored, also when many come at once."""

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from litestar import Response
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.domain.tickets import contents
from parlance.api.domain.tickets.input import requests
from parlance.api.domain.tickets.input.times import Times
from parlance.api.domain.tickets.uploads.accepting import Acceptor
from parlance.api.domain.tickets.uploads.upload import Mode, TicketUpload
from parlance.api.http.errors import Refused
from parlance.api.identity.principal import Principal
from parlance.api.outbox.relay import Relay
from parlance.contracts.bus.tickets import CARRIED_BYTES, TicketDispatch
from parlance.contracts.problems import Problem
from parlance.contracts.tickets import TicketDocument, TicketState
from parlance.runtime.clock import SystemClock
from parlance.runtime.errors import StoreUnavailable
from parlance.runtime.store import Store, StoredObject

from tests.integration.api_db.support import Tenant
from tests.integration.api_db.tickets import support

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
LARGE_TEXT = "Where is my refund? " * 1000
"""No dispatch carries it."""


class Idle(Relay):
    """Leaves all to the recorder."""

    async def relay_one(self, kind: str, subject_id: uuid.UUID) -> bool:
        return False


class Away(Store):
    """A store that cannot be reached."""

    def __init__(self) -> None:
        pass

    async def put_bytes(self, key: str, data: bytes) -> StoredObject:
        raise StoreUnavailable("test")


@pytest.fixture
def acceptor(database: Database, store: Store) -> Acceptor:
    return Acceptor(database, store, Idle(database, [], SystemClock()))


def build_upload(
    company: Tenant, body: dict[str, Any], mode: Mode = Mode.CREATE, now: datetime = NOW
) -> TicketUpload:
    principal = Principal(company.id, company.slug, "key:test", frozenset({"tickets:write"}))
    parsed = requests.parse_body(body, Times(now, ZoneInfo("UTC")), strict=False)
    return TicketUpload(principal, parsed, mode, None, now)


def talk(*texts: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "customer", "text": text, "id": text[:40]} for text in texts]
    return {"messages": messages, **more}


def read(response: Response[Any]) -> Any:
    return json.loads(response.content)


async def fetch_all(database: Database, table: type[Any]) -> Sequence[Any]:
    async with database.system_session() as session:
        return (await session.scalars(sa.select(table))).all()


async def fetch_document(database: Database, store: Store) -> tuple[TicketDispatch, TicketDocument]:
    """What the outbox holds for the only ticket, and its document."""
    [row] = await fetch_all(database, tables.OutboxRow)
    dispatch = TicketDispatch.model_validate(row.payload)
    return dispatch, await support.read_document(store, dispatch)


async def list_keys(store: Store) -> list[str]:
    return [stored.key async for stored in store.list("")]


async def test_a_new_ticket_has_row_content_document_outbox_and_audit(
    acceptor: Acceptor, database: Database, store: Store, acme: Tenant
) -> None:
    body = talk("Where?", "Here.", external_id="Z", subject="Parcel", customer={"name": "Ada"})

    response = await acceptor.accept(build_upload(acme, body))

    ticket_id = read(response)["ticket_id"]
    [ticket] = await fetch_all(database, tables.Ticket)
    assert (str(ticket.id), ticket.state, ticket.customer) == (ticket_id, "queued", {"name": "Ada"})
    assert (ticket.created_at, ticket.received_at, ticket.attempt) == (NOW, NOW, 1)
    assert (ticket.queued_at, ticket.started_at) == (NOW, None)
    dispatch, document = await fetch_document(database, store)
    assert (dispatch.ticket_id, dispatch.priority, dispatch.messages) == (
        ticket_id, "interactive", 2,
    )  # fmt: skip
    assert document.subject == "Parcel"
    assert [(message.index, message.text) for message in document.messages] == [
        (0, "Where?"), (1, "Here."),
    ]  # fmt: skip
    [entry] = await fetch_all(database, tables.AuditEntry)
    assert (entry.action, entry.subject, entry.actor) == ("ticket.created", ticket_id, "key:test")


async def test_the_words_can_be_searched(
    acceptor: Acceptor, database: Database, acme: Tenant
) -> None:
    await acceptor.accept(build_upload(acme, talk("Where is it?", subject="Parcel")))
    search = tables.TICKET_CONTENTS.c.search

    async with database.company_session(acme.id) as session:
        found = [
            await session.scalar(sa.select(search.op("@@")(sa.func.to_tsquery("simple", word))))
            for word in ("where", "parcel", "nothing")
        ]

    assert found == [True, True, False]


@pytest.mark.parametrize(
    "words",
    [
        (f"{n:x}" for n in range(300_000)),
        (f"{n:04x}-{n + 1:04x}-{n + 2:04x}" for n in range(0x10, 0xFFF0)),
        (f"{n:x}.de/{n:x}" for n in range(100_000)),
        ("İ" * 2 + chr(0x4E00 + n % 20_000) + chr(0x4E00 + n // 7) for n in range(100_000)),
        ("a" for _ in range(500_000)),
    ],
)
async def test_a_text_of_any_words_fits_into_the_search(database: Database, words: Any) -> None:
    text = contents.build_search_text(None, [{"text": " ".join(words)}])

    async with database.system_session() as session:
        size = await session.scalar(
            sa.select(sa.func.pg_column_size(contents.build_search_vector(text)))
        )

    assert len(text.encode()) > contents.SEARCH_TEXT_BYTES - 8
    assert size is not None
    assert size < 1024 * 1024


@pytest.mark.parametrize("text", ["Hi", LARGE_TEXT])
async def test_equal_posts_at_once_make_one_ticket(
    acceptor: Acceptor, database: Database, store: Store, acme: Tenant, text: str
) -> None:
    uploads = [build_upload(acme, talk(text, external_id="P")) for _ in range(50)]

    responses = await asyncio.gather(*(acceptor.accept(upload) for upload in uploads))

    assert Counter(response.status_code for response in responses) == {201: 1, 200: 49}
    assert len(await fetch_all(database, tables.Ticket)) == 1
    assert len(await list_keys(store)) == (len(text) > CARRIED_BYTES)


async def test_overlapping_batches_at_once_make_each_ticket_once(
    acceptor: Acceptor, database: Database, acme: Tenant
) -> None:
    names = [f"T-{number}" for number in range(20)]
    batches = [names[shift:] + names[:shift] for shift in range(8)]
    uploads = [
        build_upload(acme, {"tickets": [talk("Hi", external_id=name) for name in batch]})
        for batch in batches
    ]

    bodies = [read(r) for r in await asyncio.gather(*(acceptor.accept(u) for u in uploads))]

    assert sum(body["created"] for body in bodies) == len(names)
    assert sum(body["unchanged"] for body in bodies) == len(names) * (len(batches) - 1)
    assert len(await fetch_all(database, tables.Ticket)) == len(names)
    assert len(await fetch_all(database, tables.OutboxRow)) == len(names)


async def test_parallel_appends_leave_one_thread(
    acceptor: Acceptor, database: Database, store: Store, acme: Tenant
) -> None:
    uploads = [
        build_upload(acme, talk("First", f"Reply {number}", external_id="A"), Mode.APPEND)
        for number in range(12)
    ]

    await asyncio.gather(*(acceptor.accept(upload) for upload in uploads))

    [content] = await fetch_all(database, tables.TicketContent)
    [ticket] = await fetch_all(database, tables.Ticket)
    assert sorted(message["text"] for message in content.messages) == sorted(
        ["First", *(f"Reply {number}" for number in range(12))]
    )
    assert sorted(message["index"] for message in content.messages) == list(range(13))
    assert (ticket.message_count, ticket.attempt, ticket.revision) == (13, 12, 12)
    dispatch, document = await fetch_document(database, store)
    assert (dispatch.attempt, document.attempt, len(document.messages)) == (12, 12, 13)


@pytest.mark.parametrize("size", [1, 5_000])
async def test_new_content_starts_anew(
    acceptor: Acceptor, database: Database, store: Store, acme: Tenant, size: int
) -> None:
    """The smaller conversations travel in the outbox, the larger ones in the store."""
    old, new = "Old. " * size, "New. " * size
    first = read(await acceptor.accept(build_upload(acme, talk(old, external_id="U"))))
    async with database.company_session(acme.id) as session:
        ticket = await session.get_one(tables.Ticket, uuid.UUID(first["ticket_id"]))
        ticket.state, ticket.error_code, ticket.error_retryable = TicketState.FAILED, "x", True
        ticket.completed_at = ticket.started_at = ticket.queued_at = NOW
        ticket.sentiment_score, ticket.summary = -0.5, "Old"
        session.add(
            tables.TicketInsights(
                ticket_id=ticket.id, company_id=acme.id, attempt=1, profile="lexical"
            )
        )

    body = talk(new, external_id="U", subject="Better")
    response = await acceptor.accept(build_upload(acme, body, Mode.UPSERT, LATER))
    assert response.background is not None
    await response.background()

    assert read(response) == {
        "success": True,
        "ticket_id": first["ticket_id"],
        "message": "Ticket updated and queued for analysis",
        "outcome": "updated",
    }
    [ticket] = await fetch_all(database, tables.Ticket)
    assert (ticket.state, ticket.error_code, ticket.error_retryable) == ("queued", None, None)
    assert (ticket.completed_at, ticket.started_at, ticket.summary) == (None, None, None)
    assert (ticket.queued_at, ticket.updated_at) == (LATER, LATER)
    assert (ticket.subject, ticket.revision, ticket.sentiment_score) == ("Better", 2, None)
    assert await fetch_all(database, tables.TicketInsights) == []
    dispatch, document = await fetch_document(database, store)
    assert (dispatch.attempt, document.messages[0].text) == (2, new)
    # The first document was never sent, and is gone.
    assert await list_keys(store) == [
        key for key in [dispatch.document.object_key] if key is not None
    ]
    assert (dispatch.document.content is None) == (size > 1)


async def test_a_ticket_whose_work_cannot_be_read_is_replaced(
    acceptor: Acceptor, database: Database, store: Store, acme: Tenant
) -> None:
    await acceptor.accept(build_upload(acme, talk("Old", external_id="U")))
    async with database.system_session() as session:
        await session.execute(sa.update(tables.OutboxRow).values(payload={"company": "acme"}))

    body = talk("New", external_id="U")
    response = await acceptor.accept(build_upload(acme, body, Mode.UPSERT))

    assert read(response)["outcome"] == "updated"
    _, document = await fetch_document(database, store)
    assert document.messages[0].text == "New"


async def test_an_appended_conversation_keeps_its_bounds(
    acceptor: Acceptor, database: Database, acme: Tenant
) -> None:
    texts = [f"{number} " + "x" * 60_000 for number in range(18)]
    await acceptor.accept(build_upload(acme, talk(*texts[:12], external_id="L")))

    with pytest.raises(Refused) as caught:
        await acceptor.accept(build_upload(acme, talk(*texts[12:], external_id="L"), Mode.APPEND))

    assert caught.value.problem is Problem.TEXT_TOO_LONG
    [ticket] = await fetch_all(database, tables.Ticket)
    assert (ticket.message_count, ticket.attempt) == (12, 1)


async def test_a_store_that_is_away_leaves_no_row(
    database: Database, store: Store, acme: Tenant
) -> None:
    acceptor = Acceptor(database, Away(), Idle(database, [], SystemClock()))
    body = {"tickets": [talk(LARGE_TEXT, external_id=f"S-{number}") for number in range(50)]}

    with pytest.raises(StoreUnavailable):
        await acceptor.accept(build_upload(acme, body))

    for table in (tables.Ticket, tables.OutboxRow, tables.AuditEntry):
        assert await fetch_all(database, table) == []


async def test_small_conversations_are_accepted_while_the_store_is_away(
    database: Database, acme: Tenant
) -> None:
    acceptor = Acceptor(database, Away(), Idle(database, [], SystemClock()))

    response = await acceptor.accept(build_upload(acme, talk("Hi")))

    assert response.status_code == 201
    assert len(await fetch_all(database, tables.OutboxRow)) == 1


def talk_at_length(size_bytes: int) -> dict[str, Any]:
    """Letters of two bytes each, but for the last one of an odd size."""
    text = "é" * (size_bytes // 2) + "x" * (size_bytes % 2)
    return {"messages": [{"role": "customer", "text": text, "id": "m"}], "external_id": "B"}


@pytest.mark.parametrize("excess_bytes", [0, 1])
async def test_a_conversation_above_the_bound_goes_through_the_store(
    acceptor: Acceptor, database: Database, store: Store, acme: Tenant, excess_bytes: int
) -> None:
    await acceptor.accept(build_upload(acme, talk_at_length(2)))
    dispatch, _ = await fetch_document(database, store)
    around_bytes = len((dispatch.document.content or "").encode()) - 2
    body = talk_at_length(CARRIED_BYTES + excess_bytes - around_bytes)

    await acceptor.accept(build_upload(acme, body, Mode.UPSERT))

    dispatch, document = await fetch_document(database, store)
    carried, keys = dispatch.document, await list_keys(store)
    assert document.messages[0].text == body["messages"][0]["text"]
    if excess_bytes:
        assert keys == [carried.object_key]
        assert len(await store.get_bytes(keys[0])) == CARRIED_BYTES + 1
    else:
        assert keys == []
        assert len((carried.content or "").encode()) == CARRIED_BYTES


async def test_companies_do_not_meet(
    acceptor: Acceptor, database: Database, acme: Tenant, globex: Tenant
) -> None:
    for company in (acme, globex):
        response = await acceptor.accept(build_upload(company, talk("Hi", external_id="Z")))
        assert response.status_code == 201

    assert len(await fetch_all(database, tables.Ticket)) == 2
