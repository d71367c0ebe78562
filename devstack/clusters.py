"""Which Kubernetes API a stack talks to: a control plane of its own, or the user's cluster.

Both look alike to the rest: a kubeconfig and a kubectl that uses it.
"""

import asyncio
import contextlib
import dataclasses
import os
import pathlib
import shutil
from collections.abc import AsyncIterator

from devstack import errors, waiting
from devstack.controlplane import server

DEFAULT_KUBECONFIG = "~/.kube/config"
ESTABLISH_TIMEOUT_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Cluster:
    """A reachable Kubernetes API."""

    kubeconfig: str
    """For the variable KUBECONFIG: absolute paths, several if the user's has several."""
    kubectl: pathlib.Path
    control_plane: server.ControlPlane | None
    """None for the user's own cluster: it is not ours to kill."""

    async def run_kubectl(self, *words: str, stdin: str | None = None) -> str:
        """What kubectl printed. Raises errors.CommandFailed with its words."""
        started = await asyncio.create_subprocess_exec(
            str(self.kubectl),
            *words,
            stdin=asyncio.subprocess.PIPE if stdin is not None else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "KUBECONFIG": self.kubeconfig},
        )
        output, problem = await started.communicate(stdin.encode() if stdin is not None else None)
        if started.returncode != 0:
            raise errors.KubectlFailed(words, problem.decode())
        return output.decode()

    async def apply(self, path: pathlib.Path) -> None:
        """Apply definitions of kinds and wait until the API server serves them."""
        await self.run_kubectl("apply", "--server-side", "--force-conflicts", "-f", str(path))
        await waiting.wait_until(
            lambda: self._are_established(path),
            ESTABLISH_TIMEOUT_SECONDS,
            f"the kinds of {path.name} are served",
        )

    async def _are_established(self, path: pathlib.Path) -> bool:
        # Not `kubectl wait`: it fails on an object that has no conditions yet.
        conditions = "{.status.conditions[?(@.type=='Established')].status}"
        template = f"jsonpath={{range .items[*]}}{conditions}{{'\\n'}}{{end}}{conditions}"
        shown = await self.run_kubectl("get", "-f", str(path), "-o", template)
        return bool(shown.split()) and set(shown.split()) == {"True"}

    async def create_namespace(self, name: str) -> None:
        try:
            await self.run_kubectl("create", "namespace", name)
        except errors.KubectlFailed as exc:
            if "AlreadyExists" not in exc.problem:
                raise


@contextlib.asynccontextmanager
async def open_cluster(
    folder: pathlib.Path, *, use_current: bool = False, is_durable: bool = True
) -> AsyncIterator[Cluster]:
    """A control plane of our own in `folder`, or the cluster that KUBECONFIG names."""
    if use_current:
        yield _find_current()
        return
    async with server.open_control_plane(folder, is_durable=is_durable) as plane:
        yield Cluster(kubeconfig=str(plane.kubeconfig), kubectl=plane.kubectl, control_plane=plane)


def _find_current() -> Cluster:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise errors.MissingTool("kubectl", "install it, or leave CLUSTER=current away")
    return Cluster(kubeconfig=_find_kubeconfig(), kubectl=pathlib.Path(kubectl), control_plane=None)


def _find_kubeconfig() -> str:
    listed = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    # Absolute, because the processes of a stack run in its folder.
    paths = [pathlib.Path(part).expanduser().absolute() for part in listed or [DEFAULT_KUBECONFIG]]
    kubeconfig = os.pathsep.join(map(str, paths))
    # Clients merge the files of a list and pass over those that do not exist.
    if not any(path.exists() for path in paths):
        raise errors.MissingTool("a kubeconfig", f"set KUBECONFIG; {kubeconfig} does not exist")
    return kubeconfig
