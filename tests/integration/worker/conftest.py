"""A bus and a store for each test here; the model is a stub where a test does not say otherwise."""

import pathlib
from collections.abc import AsyncIterator

import pytest

from devstack import nats_server, triton
from tests.integration.worker import rig as rigs
from tests.integration.worker.rig import Rig


@pytest.fixture
async def rig(
    nats: nats_server.NatsServer, stub_triton: triton.TritonServer, tmp_path: pathlib.Path
) -> AsyncIterator[Rig]:
    async with rigs.open_rig(nats, stub_triton, tmp_path) as opened:
        yield opened
