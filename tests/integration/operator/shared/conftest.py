"""One operator, one NATS and one namespace for all tests of a module, since an operator takes
seconds to start. A test that kills or freezes something brings it back; what it leaves of jobs is
removed after it. Tests that start or end an operator themselves are one folder up.
"""

import asyncio
import pathlib
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import nats as nats_client
import pytest
import pytest_asyncio
from parlance.contracts.bus import streams
from parlance.runtime import kube as kube_package
from parlance.runtime.kube import Kube
from parlance.runtime.settings import KubeSettings

from devstack import nats_server, waiting
from devstack.controlplane.server import ControlPlane
from devstack.nats_server import NatsServer
from tests.integration.operator.cluster import Cluster, Operator


@dataclass(frozen=True)
class Served:
    """A namespace with its operator."""

    cluster: Cluster
    operator: Operator


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("operator")
    namespace = f"test-{uuid.uuid4().hex[:12]}"
    settings = KubeSettings(kubeconfig=control_plane.kubeconfig, namespace=namespace)
    async with (
        nats_server.open_nats(folder / "nats") as nats,
        kube_package.open_kube(settings) as kube,
    ):
        await kube.create_namespace(namespace)
        cluster = Cluster(
            control_plane=control_plane,
            nats=nats,
            kube=kube,
            namespace=namespace,
            folder=folder,
            python=sys.executable,
        )
        async with cluster.operator() as operator:
            yield Served(cluster, operator)


@pytest.fixture
def operator(served: Served) -> Operator:
    return served.operator


@pytest.fixture
def nats(served: Served) -> NatsServer:
    return served.cluster.nats


@pytest.fixture
def namespace(served: Served) -> str:
    return served.cluster.namespace


@pytest.fixture
def folder(served: Served) -> pathlib.Path:
    return served.cluster.folder


@pytest.fixture(autouse=True)
async def _tidy(kube: Kube, nats: NatsServer) -> AsyncIterator[None]:
    """The next test finds no job, and no message of one."""
    yield
    page = await kube.list_calljobs()
    names = [item["metadata"]["name"] for item in page.items]
    await asyncio.gather(*(kube.delete_calljob(name) for name in names))

    async def are_gone() -> bool:
        return not (await kube.list_calljobs(limit=1)).items

    await waiting.wait_until(are_gone, 30, "the jobs of the test are gone")
    raw = await nats_client.connect(nats.url)
    await raw.jetstream().purge_stream(streams.JOBS.name)
    await raw.close()
