"""The real servers that the folders here share: the slow ones once for all, NATS anew per test.

A test that kills or freezes a shared one brings it back before it ends.
"""

import pathlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import yaml
from parlance.runtime import kube as kube_package
from parlance.runtime.settings import KubeSettings

from devstack import nats_server, postgres, seaweedfs, triton, waiting
from devstack.controlplane import server as control_plane_module
from devstack.controlplane.server import ControlPlane
from tests.integration import databases

STUB_BATCH_SECONDS = 0.2
"""Long enough to do something to a call in its middle."""
CRD = pathlib.Path(__file__).parents[2] / "crds" / "calljobs.parlance.dev.yaml"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[postgres.Postgres]:
    """With a migrated template, of which `databases.create_database` makes copies."""
    folder = tmp_path_factory.mktemp("postgres")
    async with postgres.open_postgres(folder, is_durable=False) as opened:
        await databases.prepare_template(opened)
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def s3(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[seaweedfs.S3Service]:
    """One S3 for all tests, since it takes seconds to start; each test has a prefix of its own."""
    async with seaweedfs.open_seaweedfs(tmp_path_factory.mktemp("s3")) as service:
        yield service


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def control_plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ControlPlane]:
    """That serves CallJobs; each test works in a namespace of its own."""
    folder = tmp_path_factory.mktemp("control-plane")
    async with control_plane_module.open_control_plane(folder, is_durable=False) as opened:
        settings = KubeSettings(kubeconfig=opened.kubeconfig, namespace="default")
        async with kube_package.open_kube(settings) as kube:
            await kube.apply_crd(yaml.safe_load(CRD.read_text()))
            await waiting.wait_until(kube.is_crd_served, 30, "CallJobs are served")
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def triton_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[triton.TritonServer]:
    async with triton.open_triton(tmp_path_factory.mktemp("triton")) as opened:
        yield opened


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stub_triton(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[triton.TritonServer]:
    """For tests whose point is not speech: the real server around an engine that hears nothing."""
    folder = tmp_path_factory.mktemp("stub-triton")
    environment = triton.build_stub_environment(STUB_BATCH_SECONDS)
    async with triton.open_triton(folder, environment=environment) as opened:
        yield opened


@pytest.fixture
async def nats(tmp_path: pathlib.Path) -> AsyncIterator[nats_server.NatsServer]:
    async with nats_server.open_nats(tmp_path / "nats") as opened:
        yield opened
