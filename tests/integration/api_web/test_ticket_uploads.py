"""`POST /api/tickets/upload`: one ticket, many, pasted; what comes again; what is refused."""

import asyncio
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
        transport = httpx.ASGITransport(asgi.create_app(settings.http, wired))
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
    body = talk("Where is it?", "On its way.", external_id="Z-1", subject="Parcel")

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
    assert [message.text for message in document.messages] == ["Where is it?", "On its way."]
