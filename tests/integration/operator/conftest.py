"""A namespace and peers for each test here, which starts its own operators. Below `shared/` one
operator serves all tests of a module."""

import asyncio
import pathlib
import sys
import uuid
from collections.abc import AsyncIterator

import pytest
from parlance.runtime import bus as bus_package
from parlance.runtime import kube as kube_package
from parlance.runtime.bus import Bus
from parlance.runtime.kube import Kube
from parlance.runtime.settings import BusSettings, KubeSettings

from devstack.controlplane.server import ControlPlane
from devstack.nats_server import NatsServer
from tests.integration.operator.cluster import Cluster
from tests.integration.operator.peers import ScriptedRecorder, ScriptedWorker, running


@pytest.fixture
async def bus(nats: NatsServer) -> AsyncIterator[Bus]:
    settings = BusSettings(nats_url=nats.url, publish_deadline_seconds=20.0)
    async with bus_package.open_bus(settings, client_name="peer") as opened:
        yield opened


@pytest.fixture
def namespace() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
async def kube(control_plane: ControlPlane, namespace: str) -> AsyncIterator[Kube]:
    settings = KubeSettings(kubeconfig=control_plane.kubeconfig, namespace=namespace)
    async with kube_package.open_kube(settings) as opened:
        await opened.create_namespace(namespace)
        yield opened


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """For the logs of operators."""
    return tmp_path


@pytest.fixture
def cluster(
    control_plane: ControlPlane,
    nats: NatsServer,
    kube: Kube,
    namespace: str,
    folder: pathlib.Path,
) -> Cluster:
    return Cluster(
        control_plane=control_plane,
        nats=nats,
        kube=kube,
        namespace=namespace,
        folder=folder,
        python=sys.executable,
    )


@pytest.fixture
async def worker(bus: Bus) -> AsyncIterator[ScriptedWorker]:
    scripted = ScriptedWorker(bus)
    async with running(asyncio.create_task(scripted.work())):
        yield scripted


@pytest.fixture
async def recorder(bus: Bus) -> AsyncIterator[ScriptedRecorder]:
    scripted = ScriptedRecorder(bus)
    async with running(asyncio.create_task(scripted.record())):
        yield scripted
