"""The control plane: a real Kubernetes API whose objects outlive a crash of either server."""

import asyncio
import json
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from devstack import guard
from devstack.controlplane import build, server

pytestmark = pytest.mark.cluster


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[server.ControlPlane]:
    """A durable one for all tests here; who kills a part of it starts it again."""
    async with server.open_control_plane(tmp_path_factory.mktemp("plane")) as opened:
        yield opened


async def _run_kubectl(plane: server.ControlPlane, *words: str) -> tuple[int, str]:
    started = await asyncio.create_subprocess_exec(
        *(str(plane.kubectl), "--kubeconfig", str(plane.kubeconfig), *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await started.communicate()
    return await started.wait(), output.decode()


async def _read(plane: server.ControlPlane, *words: str) -> Any:
    status, output = await _run_kubectl(plane, *words, "-o", "json")
    assert status == 0, output
    return json.loads(output)


async def test_it_is_the_pinned_version(plane: server.ControlPlane) -> None:
    answer = await _read(plane, "version")

    assert answer["serverVersion"]["gitVersion"] == build.KUBERNETES_VERSION
    assert answer["clientVersion"]["gitVersion"] == build.KUBERNETES_VERSION


@pytest.mark.parametrize("victim", ["etcd", "apiserver"])
async def test_objects_outlive_a_crash(plane: server.ControlPlane, victim: str) -> None:
    name = f"kept-from-{victim}"
    status, output = await _run_kubectl(plane, "create", "configmap", name)
    assert status == 0, output

    process = {"etcd": plane.etcd, "apiserver": plane.apiserver}[victim]
    await process.kill()
    await process.start()

    assert (await _read(plane, "get", "configmap", name))["metadata"]["name"] == name


async def test_other_users_may_do_what_they_were_granted(plane: server.ControlPlane) -> None:
    grant = ("--verb=get,list", "--resource=configmaps")
    await _run_kubectl(plane, "create", "role", "look", *grant)
    await _run_kubectl(plane, "create", "rolebinding", "look", "--role=look", "--user=bob")
    kubeconfig = str(await plane.issue_kubeconfig("bob", "bob"))

    may_list, _ = await _run_kubectl(plane, "--kubeconfig", kubeconfig, "get", "configmaps")
    may_create, output = await _run_kubectl(
        plane, "--kubeconfig", kubeconfig, "create", "configmap", "mine"
    )

    assert may_list == 0
    assert may_create != 0
    assert "forbidden" in output


async def test_nothing_is_left_running(tmp_path: pathlib.Path) -> None:
    async with server.open_control_plane(tmp_path, is_durable=False) as plane:
        family = guard.list_family(plane.etcd.pid) | guard.list_family(plane.apiserver.pid)

    assert len(family) == 2
    assert not guard.list_living(family)
