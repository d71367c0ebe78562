"""The operator with exactly the rights it ships with, and over several namespaces."""

import dataclasses
import pathlib

import pytest
from parlance.runtime import kube as kube_package
from parlance.runtime.errors import KubeRejected
from parlance.runtime.settings import KubeSettings

from devstack import waiting
from tests.integration.operator.cluster import Cluster
from tests.integration.operator.peers import Script, ScriptedRecorder, ScriptedWorker

APPLIED = """
apiVersion: parlance.dev/v1alpha1
kind: CallJob
metadata: {name: by-hand}
spec:
  company: acme
  audio: {objectKey: acme/complete.wav}
"""
RIGHTS = pathlib.Path(__file__).parents[3] / "deploy" / "operator-rbac.yaml"


@pytest.fixture(autouse=True)
def _peers(worker: ScriptedWorker, recorder: ScriptedRecorder) -> None:
    """Both work in every test here."""


async def issue_operator(cluster: Cluster, rights: str) -> pathlib.Path:
    """A kubeconfig with these rights only."""
    rights = rights.replace("namespace: parlance", f"namespace: {cluster.namespace}")
    await cluster.kubectl("apply", "-f", "-", stdin=rights)
    user = f"system:serviceaccount:{cluster.namespace}:parlance-operator"
    return await cluster.control_plane.issue_kubeconfig(f"operator-{cluster.namespace}", user)


async def test_shipped_rights_are_enough_for_a_whole_life(cluster: Cluster) -> None:
    kubeconfig = await issue_operator(cluster, RIGHTS.read_text())
    async with cluster.operator(kubeconfig) as operator:
        name = await cluster.create(ttl_seconds_after_finished=1)
        lingering = await cluster.create(Script.LINGER)
        await cluster.wait_for_phase(lingering, "Running")
        await cluster.kubectl("delete", "calljob", lingering, "--timeout=20s")
        await cluster.wait_until_gone(name)

        await waiting.wait_until(operator.is_live, 20, "it is live")
    # The operator posts what it has to tell before it ends.
    assert await cluster.list_event_reasons(name) == ["Dispatched", "Completed", "Expired"]


async def test_shipped_rights_end_at_the_namespace(cluster: Cluster) -> None:
    kubeconfig = await issue_operator(cluster, RIGHTS.read_text())
    settings = KubeSettings(kubeconfig=kubeconfig, namespace="default")
    async with kube_package.open_kube(settings) as kube:
        with pytest.raises(KubeRejected):
            await kube.list_calljobs()


async def test_one_operator_can_serve_all_namespaces(cluster: Cluster) -> None:
    other = f"{cluster.namespace}-other"
    await cluster.kube.create_namespace(other)
    async with cluster.operator(PARLANCE_WATCH_ALL_NAMESPACES="true"):
        here = await cluster.create()
        elsewhere = dataclasses.replace(cluster, namespace=other)
        await elsewhere.kubectl("apply", "-f", "-", stdin=APPLIED)
        await cluster.wait_until_let_go(here)
        waited = await elsewhere.kubectl(
            "wait", "--for=condition=Complete", "--timeout=20s", "calljob/by-hand"
        )

    assert "condition met" in waited
