"""How fast the operator dispatches what waits at its start, and what that costs it.

`python -m bench.operator_dispatch 1000 5000` makes that many CallJobs on a real API server, starts
the operator, and waits until every job has its message in JetStream. Prints rate, memory and
processor time. No worker runs.
"""

import asyncio
import pathlib
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
import psutil
import yaml
from parlance.contracts.crs.meta import COMPANY_LABEL, FINALIZER
from parlance.contracts.crs.v1alpha1.calljob import Audio, CallJobSpec, build_manifest
from parlance.contracts.ids import format_calljob_name, new_call_id
from parlance.runtime import kube as kube_package
from parlance.runtime.kube import Kube
from parlance.runtime.settings import KubeSettings

from devstack import nats_server, ports, process, waiting
from devstack.controlplane import server as control_plane
from devstack.controlplane.server import ControlPlane
from devstack.nats_server import NatsServer

CRD = pathlib.Path(__file__).parent.parent / "crds" / "calljobs.parlance.dev.yaml"
AT_ONCE = 16
LIMIT_SECONDS = 600


@dataclass
class Measured:
    """One run."""

    jobs: int
    create_seconds: float
    dispatch_seconds: float
    peak_rss_bytes: int
    cpu_seconds: float

    def format(self) -> str:
        return (
            f"{self.jobs:>6} jobs: created {self.jobs / self.create_seconds:.0f}/s, "
            f"dispatched in {self.dispatch_seconds:.1f} s "
            f"({self.jobs / self.dispatch_seconds:.0f}/s), "
            f"operator peak {self.peak_rss_bytes / 1e6:.0f} MB, "
            f"{self.cpu_seconds / self.jobs * 1000:.1f} ms of CPU per job"
        )


async def measure(jobs: int) -> Measured:
    """A control plane and a NATS server of its own for each run."""
    with tempfile.TemporaryDirectory(prefix="parlance-bench-") as name:
        folder = pathlib.Path(name)
        async with (
            control_plane.open_control_plane(folder / "kube", is_durable=False) as plane,
            nats_server.open_nats(folder / "nats") as nats,
            kube_package.open_kube(_kube_settings(plane)) as kube,
        ):
            await kube.apply_crd(yaml.safe_load(CRD.read_text()))
            await waiting.wait_until(kube.is_crd_served, 30, "CallJobs are served")
            create_seconds = await _create(kube, jobs)
            return await _dispatch(plane, nats, folder, jobs, create_seconds)


def _kube_settings(plane: ControlPlane) -> KubeSettings:
    return KubeSettings(kubeconfig=plane.kubeconfig, namespace="default")


async def _create(kube: Kube, jobs: int) -> float:
    slots = asyncio.Semaphore(AT_ONCE)

    async def create() -> None:
        manifest = build_manifest(
            name=format_calljob_name(new_call_id()),
            spec=CallJobSpec(company="acme", audio=Audio(object_key="acme/call.wav")),
            labels={COMPANY_LABEL: "acme"},
            annotations={},
            finalizers=(FINALIZER,),
        )
        async with slots:
            await kube.create_calljob(manifest)

    started = time.monotonic()
    await asyncio.gather(*(create() for _ in range(jobs)))
    return time.monotonic() - started


async def _dispatch(
    plane: ControlPlane, nats: NatsServer, folder: pathlib.Path, jobs: int, create_seconds: float
) -> Measured:
    command = process.Command(
        name="operator",
        argv=[sys.executable, "-m", "parlance.operator"],
        log_path=folder / "operator.log",
        environment={
            "KUBECONFIG": str(plane.kubeconfig),
            "PARLANCE_NAMESPACE": "default",
            "PARLANCE_NATS_URL": nats.url,
            "PARLANCE_METRICS_PORT": str(ports.find_free_port()),
        },
    )
    peak_rss_bytes = 0
    started = time.monotonic()
    async with process.open_server(command) as server:
        watched = psutil.Process(server.pid)

        async def is_dispatched() -> bool:
            nonlocal peak_rss_bytes
            peak_rss_bytes = max(peak_rss_bytes, watched.memory_info().rss)
            return await _count_messages(nats) >= jobs

        await waiting.wait_until(is_dispatched, LIMIT_SECONDS, "all jobs are dispatched", 0.2)
        times = watched.cpu_times()
        return Measured(
            jobs=jobs,
            create_seconds=create_seconds,
            dispatch_seconds=time.monotonic() - started,
            peak_rss_bytes=peak_rss_bytes,
            cpu_seconds=times.user + times.system,
        )


async def _count_messages(nats: NatsServer) -> int:
    """Messages in the stream JOBS, as the server itself counts them."""
    async with httpx.AsyncClient(trust_env=False) as client:
        found = (await client.get(f"{nats.monitor_url}/jsz?streams=1")).json()
    for account in found.get("account_details", []):
        for stream in account.get("stream_detail", []):
            if stream["name"] == "JOBS":
                return int(stream["state"]["messages"])
    return 0


def main(arguments: Sequence[str]) -> int:
    for jobs in map(int, arguments or ("1000",)):
        print(asyncio.run(measure(jobs)).format(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
