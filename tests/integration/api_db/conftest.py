"""A database, store and namespace of its own for each test here."""

import pathlib
import uuid
from collections.abc import AsyncIterator

import pytest
from parlance.api.db import session
from parlance.api.db.session import Database
from parlance.runtime import bus as bus_package
from parlance.runtime import kube as kube_package
from parlance.runtime import store as store_module
from parlance.runtime.bus import Bus
from parlance.runtime.clock import ManualClock
from parlance.runtime.kube import Kube
from parlance.runtime.settings import BusSettings, StoreSettings
from parlance.runtime.store import Store

from devstack import nats_server
from devstack.controlplane.server import ControlPlane
from devstack.postgres import Postgres
from tests.integration import databases
from tests.integration.api_db import support
from tests.integration.api_db.support import Parts, Tenant
from tests.integration.databases import Urls


@pytest.fixture
def empty_urls(postgres_server: Postgres) -> Urls:
    """A database that does not exist yet."""
    return databases.plan_database(postgres_server)


@pytest.fixture
async def urls(postgres_server: Postgres) -> Urls:
    """A migrated database of one's own."""
    return await databases.create_database(postgres_server)


@pytest.fixture
async def database(urls: Urls) -> AsyncIterator[Database]:
    async with session.open_database(support.build_settings(urls)) as opened:
        yield opened


@pytest.fixture
async def acme(database: Database) -> Tenant:
    return await support.add_company(database, "acme")


@pytest.fixture
async def globex(database: Database) -> Tenant:
    return await support.add_company(database, "globex")


@pytest.fixture
async def store(tmp_path: pathlib.Path) -> AsyncIterator[Store]:
    settings = StoreSettings(store_url=f"file://{tmp_path / 'objects'}")
    async with store_module.open_store(settings) as opened:
        yield opened


@pytest.fixture
async def bus(nats: nats_server.NatsServer) -> AsyncIterator[Bus]:
    settings = BusSettings(nats_url=nats.url, publish_deadline_seconds=5.0)
    async with bus_package.open_bus(settings, client_name="test") as opened:
        yield opened


@pytest.fixture
async def kube(control_plane: ControlPlane) -> AsyncIterator[Kube]:
    """Bound to a namespace of its own."""
    namespace = f"test-{uuid.uuid4().hex[:12]}"
    settings = support.build_kube_settings(control_plane.kubeconfig, namespace)
    async with kube_package.open_kube(settings) as opened:
        await opened.create_namespace(namespace)
        yield opened


@pytest.fixture
def parts(database: Database, store: Store, bus: Bus, kube: Kube) -> Parts:
    return Parts(database=database, store=store, bus=bus, kube=kube)


@pytest.fixture
def clock(parts: Parts) -> ManualClock:
    """Starts now and stands still until a test advances it."""
    return ManualClock(parts.clock.now())
