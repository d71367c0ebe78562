"""Real NATS and Postgres for the HTTP side of the API."""

import contextlib
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from parlance.api.domain.events import hub as hub_module
from parlance.api.domain.events.hub import Hub
from parlance.runtime import bus as bus_package
from parlance.runtime.bus import Bus
from parlance.runtime.settings import BusSettings

from devstack import nats_server

OpenHub = Callable[[], Awaitable[Hub]]


@pytest.fixture
async def nats(tmp_path: pathlib.Path) -> AsyncIterator[nats_server.NatsServer]:
    async with nats_server.open_nats(tmp_path / "nats") as server:
        yield server


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
