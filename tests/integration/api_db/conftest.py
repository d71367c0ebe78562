"""Real servers for all tests here, and an own database, NATS, store and namespace for each."""

import pathlib
import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
import yaml
from parlance.api.db import migrate, session
from parlance.api.db.session import Database
from parlance.runtime import bus as bus_package
from parlance.runtime import kube as kube_package
from parlance.runtime import store as store_module
from parlance.runtime.bus import Bus
from parlance.runtime.kube import Kube
from parlance.runtime.settings import BusSettings, StoreSettings
from parlance.runtime.store import Store

from devstack import nats_server, postgres, waiting
from devstack.controlplane import server as control_plane_module
from devstack.controlplane.server import ControlPlane
from tests.integration.api_db import support
from tests.integration.api_db.support import Parts, Tenant, Urls

TEMPLATE = "template_parlance"
CRD = pathlib.Path(__file__).parents[3] / "crds" / "calljobs.parlance.dev.yaml"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[postgres.Postgres]:
    folder = tmp_path_factory.mktemp("postgres")
    async with postgres.open_postgres(folder, is_durable=False) as opened:
        urls = support.format_urls(opened, TEMPLATE)
        await migrate.upgrade(urls.owner, urls.app)
        yield opened


@pytest.fixture
async def empty_urls(server: postgres.Postgres) -> Urls:
    """A database that does not exist yet."""
    return support.format_urls(server, f"test_{uuid.uuid4().hex}")


@pytest.fixture
async def urls(server: postgres.Postgres, empty_urls: Urls) -> Urls:
    """A migrated database of one's own."""
    name = pathlib.PurePosixPath(empty_urls.owner).name
    connection = await asyncpg.connect(server.admin_dsn)
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
    finally:
        await connection.close()
    return empty_urls


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
async def nats(tmp_path: pathlib.Path) -> AsyncIterator[nats_server.NatsServer]:
    async with nats_server.open_nats(tmp_path / "nats") as opened:
        yield opened


@pytest.fixture
async def bus(nats: nats_server.NatsServer) -> AsyncIterator[Bus]:
    settings = BusSettings(nats_url=nats.url, publish_deadline_seconds=5.0)
    async with bus_package.open_bus(settings, client_name="test") as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def control_plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ControlPlane]:
    folder = tmp_path_factory.mktemp("control-plane")
    async with control_plane_module.open_control_plane(folder, is_durable=False) as opened:
        settings = support.build_kube_settings(opened.kubeconfig)
        async with kube_package.open_kube(settings) as kube:
            await kube.apply_crd(yaml.safe_load(CRD.read_text()))
            await waiting.wait_until(kube.is_crd_served, 30, "CallJobs are served")
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
