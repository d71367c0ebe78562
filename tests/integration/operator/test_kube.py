"""The Kubernetes adapter: answers are values, outages are Retryable."""

import asyncio
import json
import urllib.parse

import psutil
import pytest
from parlance.contracts.crs.meta import TERMINAL_LABEL
from parlance.contracts.crs.v1alpha1.calljob import Audio, CallJobSpec, build_manifest
from parlance.runtime import kube as kube_package
from parlance.runtime.errors import KubeRejected, KubeUnavailable
from parlance.runtime.kube import Kube, Manifest, Outcome
from parlance.runtime.settings import KubeSettings

from devstack import waiting
from devstack.controlplane.server import ControlPlane
from tests.integration.operator.cluster import Cluster


def manifest(name: str, *, is_terminal: bool = False) -> Manifest:
    return build_manifest(
        name=name,
        spec=CallJobSpec(company="acme", audio=Audio(object_key="acme/k")),
        labels={TERMINAL_LABEL: "true"} if is_terminal else {},
        annotations={},
        finalizers=(),
    )


async def test_creating_twice_is_an_answer(kube: Kube) -> None:
    assert [await kube.create_calljob(manifest("a")) for _ in range(2)] == [True, False]


async def test_missing_objects_are_an_answer(kube: Kube) -> None:
    patched = await kube.patch_calljob("none", {"spec": {"suspend": True}})

    assert await kube.get_calljob("none") is None
    assert not await kube.delete_calljob("none")
    assert patched.outcome is Outcome.NOT_FOUND


async def test_changed_objects_are_an_answer(kube: Kube) -> None:
    await kube.create_calljob(manifest("a"))
    read = await kube.get_calljob("a")
    assert read is not None
    version = read["metadata"]["resourceVersion"]
    await kube.patch_calljob("a", {"spec": {"suspend": True}})
    late = await kube.patch_calljob_status(
        "a", {"status": {"phase": "Queued"}}, resource_version=version
    )

    assert late.outcome is Outcome.CONFLICT


async def test_another_incarnation_is_not_deleted(kube: Kube) -> None:
    await kube.create_calljob(manifest("a"))

    assert not await kube.delete_calljob("a", uid="0190b000-0000-4000-8000-000000000001")
    assert await kube.delete_calljob("a")


async def test_lists_come_in_pages_and_counts_hold_unfinished_jobs_only(kube: Kube) -> None:
    for number in range(5):
        await kube.create_calljob(manifest(f"live-{number}"))
    await kube.create_calljob(manifest("done", is_terminal=True))
    page = await kube.list_calljobs(limit=4)
    rest = await kube.list_calljobs(limit=4, continue_token=page.continue_token)

    assert (len(page.items), page.remaining, len(rest.items)) == (4, 2, 2)
    assert rest.continue_token == ""
    assert await kube.count_live_calljobs() == 5


async def test_missing_namespace_is_refused_not_waited_for(control_plane: ControlPlane) -> None:
    settings = KubeSettings(kubeconfig=control_plane.kubeconfig, namespace="nowhere")
    async with kube_package.open_kube(settings) as kube:
        with pytest.raises(KubeRejected):
            await kube.create_calljob(manifest("a"))


async def test_missing_rights_are_refused_and_named(control_plane: ControlPlane) -> None:
    kubeconfig = await control_plane.issue_kubeconfig("nobody", "nobody")
    settings = KubeSettings(kubeconfig=kubeconfig, namespace="default")
    async with kube_package.open_kube(settings) as kube:
        with pytest.raises(KubeRejected) as refusal:
            await kube.list_calljobs()

    assert refusal.value.status == 403
    assert '"nobody" cannot list' in refusal.value.reason


async def test_silent_api_server_is_given_up_after_the_deadline(
    control_plane: ControlPlane,
) -> None:
    settings = KubeSettings(
        kubeconfig=control_plane.kubeconfig, namespace="default", kube_timeout_seconds=3.0
    )
    async with kube_package.open_kube(settings) as kube:
        await kube.get_calljob("none")
        await control_plane.apiserver.pause()
        try:
            with pytest.raises(KubeUnavailable):
                await kube.get_calljob("none")
        finally:
            control_plane.apiserver.resume()


async def test_requests_given_up_leave_no_connection_open(control_plane: ControlPlane) -> None:
    """A silent server never answers the end of a TLS connection either."""
    settings = KubeSettings(
        kubeconfig=control_plane.kubeconfig, namespace="default", kube_timeout_seconds=3.0
    )
    port = urllib.parse.urlsplit(control_plane.url).port

    def count_connections() -> int:
        connections = psutil.Process().net_connections("tcp4")
        return sum(bool(one.raddr) and one.raddr.port == port for one in connections)

    async with kube_package.open_kube(settings) as kube:
        await asyncio.gather(*(kube.get_calljob("none") for _ in range(8)))
        assert count_connections() == 8
        await control_plane.apiserver.pause()
        try:
            for _ in range(2):  # on connections that stand, then on ones that cannot be opened
                requests = (kube.get_calljob("none") for _ in range(8))
                answers = await asyncio.gather(*requests, return_exceptions=True)
                assert {type(answer) for answer in answers} == {KubeUnavailable}
            await waiting.wait_until(lambda: count_connections() == 0, 10, "all are closed")
        finally:
            control_plane.apiserver.resume()


async def test_no_configuration_is_told(tmp_path) -> None:  # type: ignore[no-untyped-def]
    settings = KubeSettings(kubeconfig=tmp_path / "none")

    with pytest.raises(KubeUnavailable):
        async with kube_package.open_kube(settings):
            pass


async def test_events_show_in_describe(cluster: Cluster, kube: Kube) -> None:
    await kube.create_calljob(manifest("a"))
    read = await kube.get_calljob("a")
    assert read is not None
    posted = await kube.create_event(
        namespace=cluster.namespace,
        name="a",
        uid=read["metadata"]["uid"],
        reason="Retrying",
        message="the worker was lost",
        is_warning=True,
        component="test",
    )
    described = await cluster.kubectl("describe", "calljob", "a")

    assert posted
    assert "Warning  Retrying" in described
    assert json.loads(await cluster.kubectl("get", "events", "-o", "json"))["items"]
