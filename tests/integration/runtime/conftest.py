"""Real stores and connections for the adapters of the runtime floor."""

import contextlib
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from parlance.runtime import bus as bus_package
from parlance.runtime import store as store_module
from parlance.runtime.bus import Bus
from parlance.runtime.settings import BusSettings, StoreSettings
from parlance.runtime.store import Store

from devstack import nats_server, seaweedfs

OpenBus = Callable[[], Awaitable[Bus]]


@pytest.fixture
async def open_bus(nats: nats_server.NatsServer) -> AsyncIterator[OpenBus]:
    """Opens as many connections as a test needs; all are closed at its end."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_one() -> Bus:
            settings = BusSettings(nats_url=nats.url)
            return await stack.enter_async_context(
                bus_package.open_bus(settings, client_name="test")
            )

        yield open_one


@pytest.fixture
async def bus(open_bus: OpenBus) -> Bus:
    return await open_bus()


@pytest.fixture(params=["file", "s3"])
async def store(
    request: pytest.FixtureRequest, tmp_path: pathlib.Path, s3: seaweedfs.S3Service
) -> AsyncIterator[Store]:
    """The same suite runs over every kind of store."""
    if request.param == "file":
        settings = StoreSettings(store_url=f"file://{tmp_path / 'objects'}")
    else:
        settings = build_s3_settings(s3, prefix=tmp_path.name)
    async with store_module.open_store(settings) as opened:
        yield opened


def build_s3_settings(s3: seaweedfs.S3Service, *, prefix: str) -> StoreSettings:
    return StoreSettings.model_validate(
        {
            "store_url": f"s3://{s3.bucket}/{prefix}",
            "store_endpoint": s3.endpoint_url,
            "store_region": s3.region,
            "store_access_key": s3.access_key_id,
            "store_secret_key": s3.secret_access_key,
        }
    )
