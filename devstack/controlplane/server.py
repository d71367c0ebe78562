"""A running Kubernetes API: etcd and kube-apiserver with RBAC, and kubeconfig files for its users.

There is no controller-manager, scheduler or kubelet: custom resources, watches, RBAC, finalizers
and Events work; Pods do not run, owner references are not followed and a deleted namespace stays
Terminating. Custom resource definitions are applied by whoever needs them.
"""

import asyncio
import base64
import contextlib
import dataclasses
import json
import pathlib
from collections.abc import AsyncIterator, Sequence

from devstack import certs, http_probe, ports, process
from devstack.controlplane import build

ADMIN_GROUP = "system:masters"


@dataclasses.dataclass(frozen=True)
class ControlPlane:
    """What a client of the Kubernetes API needs, and the two processes for fault tests."""

    url: str
    kubeconfig: pathlib.Path
    """Of an administrator; certificates are embedded, so that it can be copied."""
    kubectl: pathlib.Path
    folder: pathlib.Path
    authority: certs.Authority
    etcd: process.ServerProcess
    apiserver: process.ServerProcess

    async def issue_kubeconfig(
        self, name: str, user: str, groups: Sequence[str] = ("system:authenticated",)
    ) -> pathlib.Path:
        """A kubeconfig for another user, to see RBAC at work; `name` names its files.

        A service account is the user `system:serviceaccount:<namespace>:<name>`.
        """
        client = await self.authority.issue_client(name, user, groups)
        return _write_kubeconfig(
            self.folder / f"{name}.kubeconfig", self.url, self.authority, client
        )


@contextlib.asynccontextmanager
async def open_control_plane(
    folder: pathlib.Path, *, is_durable: bool = True
) -> AsyncIterator[ControlPlane]:
    """A control plane whose state is in `folder`; builds its programs if the cache has none.

    `is_durable=False` spares etcd its fsyncs: faster, and as good as long as the machine itself
    does not crash.
    """
    programs = await build.build_programs(build.NEEDED)
    folder.mkdir(parents=True, exist_ok=True)
    authority = await certs.create_authority(folder / "certificates", "parlance-devstack")
    admin = await authority.issue_client("admin", "admin", [ADMIN_GROUP])
    etcd_url = f"http://{ports.LOOPBACK}:{ports.find_free_port()}"
    url = f"https://{ports.LOOPBACK}:{ports.find_free_port()}"
    etcd_command = _build_etcd_command(
        programs[build.Program.ETCD], folder, etcd_url, is_durable=is_durable
    )
    apiserver_command = await _build_apiserver_command(
        programs[build.Program.KUBE_APISERVER], folder, authority, etcd_url, url
    )
    tls = authority.build_tls_context(admin)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(_open_cleaning())
        etcd = await stack.enter_async_context(
            process.open_server(etcd_command, lambda: http_probe.is_ok(f"{etcd_url}/health"))
        )
        apiserver = await stack.enter_async_context(
            process.open_server(apiserver_command, lambda: http_probe.is_ok(f"{url}/readyz", tls))
        )
        yield ControlPlane(
            url=url,
            kubeconfig=_write_kubeconfig(folder / "admin.kubeconfig", url, authority, admin),
            kubectl=programs[build.Program.KUBECTL],
            folder=folder,
            authority=authority,
            etcd=etcd,
            apiserver=apiserver,
        )


@contextlib.asynccontextmanager
async def _open_cleaning() -> AsyncIterator[None]:
    """Delete what the build has left while the servers run, so that nobody waits for it."""
    cleaning = asyncio.create_task(build.remove_caches())
    try:
        yield
    finally:
        cleaning.cancel()
        await asyncio.gather(cleaning, return_exceptions=True)


def _build_etcd_command(
    program: pathlib.Path, folder: pathlib.Path, url: str, *, is_durable: bool
) -> process.Command:
    peer_url = f"http://{ports.LOOPBACK}:{ports.find_free_port()}"
    return process.Command(
        name="etcd",
        argv=[
            str(program),
            "--name=devstack",
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls={url}",
            f"--advertise-client-urls={url}",
            f"--listen-peer-urls={peer_url}",
            f"--initial-advertise-peer-urls={peer_url}",
            f"--initial-cluster=devstack={peer_url}",
            "--log-level=warn",
            *([] if is_durable else ["--unsafe-no-fsync"]),
        ],
        log_path=folder / "etcd.log",
    )


async def _build_apiserver_command(
    program: pathlib.Path,
    folder: pathlib.Path,
    authority: certs.Authority,
    etcd_url: str,
    url: str,
) -> process.Command:
    host, port = url.removeprefix("https://").split(":")
    names = [f"IP:{ports.LOOPBACK}", "DNS:localhost", "DNS:kubernetes.default.svc"]
    serving = await authority.issue_server("apiserver", names)
    tokens = await authority.issue_signer("service-accounts")
    return process.Command(
        name="kube-apiserver",
        argv=[
            str(program),
            f"--etcd-servers={etcd_url}",
            f"--bind-address={host}",
            f"--advertise-address={host}",
            f"--secure-port={port}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={authority.pair.certificate}",
            "--authorization-mode=Node,RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={tokens.certificate}",
            f"--service-account-signing-key-file={tokens.key}",
            "--service-cluster-ip-range=10.0.0.0/24",
            # Without a controller-manager nobody makes the service accounts that this plugin
            # demands.
            "--disable-admission-plugins=ServiceAccount",
            # The endpoint of the Service `kubernetes` must not be a loopback address, and nobody
            # here asks for it.
            "--endpoint-reconciler-type=none",
            "--profiling=false",
        ],
        log_path=folder / "kube-apiserver.log",
    )


def _write_kubeconfig(
    path: pathlib.Path, url: str, authority: certs.Authority, client: certs.KeyPair
) -> pathlib.Path:
    """Write a kubeconfig; JSON is YAML, which spares a YAML writer."""
    cluster = {"server": url, "certificate-authority-data": _encode(authority.pair.certificate)}
    user = {
        "client-certificate-data": _encode(client.certificate),
        "client-key-data": _encode(client.key),
    }
    context = {"cluster": "devstack", "user": "devstack", "namespace": "default"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "devstack", "cluster": cluster}],
        "users": [{"name": "devstack", "user": user}],
        "contexts": [{"name": "devstack", "context": context}],
        "current-context": "devstack",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path


def _encode(path: pathlib.Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
