"""The API itself behind a real socket, with a database and a store of its own for each test."""

import asyncio
import contextlib
import json
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
import pytest_asyncio
from parlance.api import asgi
from parlance.api.db import session
from parlance.api.events import hub as hub_module
from parlance.api.events.hub import Hub
from parlance.api.settings import (
    DatabaseSettings,
    HttpSettings,
    RecorderSettings,
    Settings,
)
from parlance.runtime import bus as bus_package
from parlance.runtime.bus import Bus
from parlance.runtime.process import Process
from parlance.runtime.settings import (
    BusSettings,
    KubeSettings,
    MediaSettings,
    StoreSettings,
    TelemetrySettings,
)
from pydantic import SecretStr

from devstack import nats_server
from devstack.postgres import Postgres
from tests.integration import databases
from tests.integration.api_web import support
from tests.integration.api_web.support import Account, Api
from tests.integration.api_web.upstream import Upstream

OpenHub = Callable[[], Awaitable[Hub]]


@pytest.fixture
async def bus(nats: nats_server.NatsServer) -> AsyncIterator[Bus]:
    settings = BusSettings(nats_url=nats.url)
    async with bus_package.open_bus(settings, client_name="test") as opened:
        yield opened


@pytest.fixture
async def open_hub(nats: nats_server.NatsServer) -> AsyncIterator[OpenHub]:
    """Hubs with a connection of their own each, as in processes of their own."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_one() -> Hub:
            settings = BusSettings(nats_url=nats.url)
            opened = await stack.enter_async_context(
                bus_package.open_bus(settings, client_name="api")
            )
            hub = await stack.enter_async_context(hub_module.open_hub(opened))
            await hub.wait_live(10)
            return hub

        yield open_one


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_nats(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[nats_server.NatsServer]:
    """For tests that neither stop it nor mind the events of others."""
    async with nats_server.open_nats(tmp_path_factory.mktemp("nats")) as server:
        yield server


@pytest.fixture
async def settings(
    postgres_server: Postgres, shared_nats: nats_server.NatsServer, tmp_path: pathlib.Path
) -> Settings:
    """An own database and store; no cluster at all."""
    urls = await databases.create_database(postgres_server)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(support.DEAD_KUBECONFIG))
    return Settings(
        database=DatabaseSettings(
            database_url=SecretStr(urls.app),
            database_pool_timeout_seconds=2.0,
        ),
        http=HttpSettings(http_host="127.0.0.1", http_port=0, drain_seconds=5.0),
        recorder=RecorderSettings(),
        bus=BusSettings(nats_url=shared_nats.url),
        store=StoreSettings(store_url=f"file://{tmp_path / 'objects'}"),
        media=MediaSettings(),
        kube=KubeSettings(kubeconfig=kubeconfig),
        telemetry=TelemetrySettings(metrics_host="127.0.0.1", metrics_port=0),
    )


@contextlib.asynccontextmanager
async def open_api(settings: Settings) -> AsyncIterator[Api]:
    """The API on a free port, in this event loop."""
    process = Process()
    started: asyncio.Future[asgi.Listening] = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(asgi.run(settings, process, on_listening=started.set_result))
    await asyncio.wait((running, started), return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    listening = await started
    try:
        async with session.open_database(settings.database) as database:
            yield Api(
                url=f"http://{listening.host}:{listening.port}",
                metrics_url=f"http://{listening.metrics.host}:{listening.metrics.port}",
                settings=settings,
                database=database,
                process=process,
                objects=pathlib.Path(settings.store.store_url.removeprefix("file://")),
            )
    finally:
        process.stop()
        await running


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    async with open_api(settings) as opened:
        yield opened


@pytest.fixture
async def api_bus(settings: Settings) -> AsyncIterator[Bus]:
    """The bus of the API under test, from outside of it."""
    async with bus_package.open_bus(settings.bus, client_name="test") as opened:
        yield opened


@pytest.fixture
async def acme(api: Api) -> Account:
    return await support.add_account(api.database, "acme")


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=api.url, timeout=30, trust_env=False) as opened:
        yield opened


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    found = Upstream(body=support.make_wav(2.0))
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()
    await server.wait_closed()
