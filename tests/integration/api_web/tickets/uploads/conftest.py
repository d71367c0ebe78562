"""An application that has the upload of tickets only, and keeps what it would send to the bus."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from litestar import Router
from litestar.di import Provide
from parlance.api import asgi
from parlance.api.db import session as db_session
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
from parlance.runtime import store as store_module
from parlance.runtime.clock import SystemClock

from tests.integration.api_web import support
from tests.integration.api_web.support import Account
from tests.integration.api_web.tickets.uploads.support import PATH, Sender
from tests.unit.api.applications import Nothing


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
