"""What the tests do with the cluster: start operators, create jobs, wait for and look at them."""

import asyncio
import contextlib
import json
import pathlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from parlance.contracts.crs.meta import COMPANY_LABEL, FINALIZER
from parlance.contracts.crs.v1alpha1.calljob import (
    Audio,
    CallJob,
    CallJobSpec,
    build_manifest,
)
from parlance.contracts.ids import format_calljob_name, new_call_id
from parlance.operator.planning import conditions
from parlance.runtime.kube import Kube

from devstack import http_probe, ports, process, waiting
from devstack.controlplane.server import ControlPlane
from devstack.nats_server import NatsServer
from devstack.process import ServerProcess
from tests.integration.operator.peers import Script

COMPANY = "acme"
QUICK = {
    "PARLANCE_TICK_SECONDS": "0.5",
    "PARLANCE_STALL_SECONDS": "60",
    "PARLANCE_RELEASE_SECONDS": "3",
    "PARLANCE_STAGE_SECONDS": "0",
}
"""Times short enough for tests; what they bound stays the same. Only a silence is not short: else a
worker counts as lost when the machine stands still for a moment, and attempts come out wrong."""


@dataclass
class Operator:
    """A running operator process."""

    server: ServerProcess
    url: str

    async def is_ready(self) -> bool:
        return await http_probe.is_ok(f"{self.url}/health/ready")

    async def is_live(self) -> bool:
        return await http_probe.is_ok(f"{self.url}/health/live")


@dataclass
class Cluster:
    """One namespace of the control plane, and the NATS server of the test."""

    control_plane: ControlPlane
    nats: NatsServer
    kube: Kube
    namespace: str
    folder: pathlib.Path
    python: str
    _started: int = field(default=0)

    @contextlib.asynccontextmanager
    async def operator(
        self, kubeconfig: pathlib.Path | None = None, **more: str
    ) -> AsyncIterator[Operator]:
        """`python -m parlance.operator` as its own process; ready when the block begins."""
        self._started += 1
        port = ports.find_free_port()
        url = f"http://127.0.0.1:{port}"
        environment = QUICK | {
            "KUBECONFIG": str(kubeconfig or self.control_plane.kubeconfig),
            "PARLANCE_NAMESPACE": self.namespace,
            "PARLANCE_NATS_URL": self.nats.url,
            "PARLANCE_METRICS_HOST": "127.0.0.1",
            "PARLANCE_METRICS_PORT": str(port),
        }
        command = process.Command(
            name=f"operator-{self._started}",
            argv=[self.python, "-m", "parlance.operator"],
            log_path=self.folder / f"operator-{self._started}.log",
            environment=environment | more,
        )

        async def is_ready() -> bool:
            return await http_probe.is_ok(f"{url}/health/ready")

        async with process.open_server(command, is_ready) as server:
            yield Operator(server, url)

    async def create(self, script: Script = Script.COMPLETE, **spec: Any) -> str:
        """As the API creates it: named after the call, finalizer on. Returns the name."""
        name = format_calljob_name(new_call_id())
        manifest = build_manifest(
            name=name,
            spec=CallJobSpec(
                company=COMPANY, audio=Audio(object_key=f"{COMPANY}/{script}"), **spec
            ),
            labels={COMPANY_LABEL: COMPANY},
            annotations={},
            finalizers=(FINALIZER,),
        )
        assert await self.kube.create_calljob(manifest)
        return name

    async def create_many(self, count: int) -> list[str]:
        return await asyncio.gather(*(self.create() for _ in range(count)))

    async def get(self, name: str) -> CallJob | None:
        manifest = await self.kube.get_calljob(name)
        return None if manifest is None else CallJob.model_validate(manifest)

    async def read(self, name: str) -> CallJob:
        job = await self.get(name)
        assert job is not None, f"{name} is gone"
        return job

    async def edit(self, name: str, **spec: Any) -> None:
        await self.kube.patch_calljob(name, {"spec": spec})

    async def wait_for_phase(self, name: str, phase: str, timeout_seconds: float = 20) -> CallJob:
        async def has_phase() -> bool:
            return (await self.read(name)).status.phase == phase

        await self._wait(has_phase, timeout_seconds, f"{name} is {phase}")
        return await self.read(name)

    async def wait_until_let_go(self, name: str, timeout_seconds: float = 20) -> CallJob:
        """Terminal, and the finalizer off."""

        async def is_let_go() -> bool:
            job = await self.read(name)
            return conditions.is_terminal(job.status) and not job.metadata.finalizers

        await self._wait(is_let_go, timeout_seconds, f"{name} is let go")
        return await self.read(name)

    async def wait_until_gone(self, name: str, timeout_seconds: float = 20) -> None:
        async def is_gone() -> bool:
            return await self.get(name) is None

        await self._wait(is_gone, timeout_seconds, f"{name} is gone")

    async def wait_until_all_let_go(self, timeout_seconds: float = 60) -> list[CallJob]:
        async def are_let_go() -> bool:
            return await self.kube.count_live_calljobs() == 0

        await self._wait(are_let_go, timeout_seconds, "all jobs are let go")
        page = await self.kube.list_calljobs()
        return [CallJob.model_validate(item) for item in page.items]

    async def _wait(self, predicate: Any, timeout_seconds: float, what: str) -> None:
        """Failing tests show where the jobs are and what the operator said."""
        try:
            await waiting.wait_until(predicate, timeout_seconds, what, 0.1)
        except Exception as exc:
            jobs = await self.kubectl("get", "calljobs", "-o", "wide")
            logs = "".join(path.read_text()[-3000:] for path in self.folder.glob("operator-*.log"))
            exc.add_note(f"{jobs}\n{logs}")
            raise

    async def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Output of kubectl in the namespace; raises with its errors."""
        running = await asyncio.create_subprocess_exec(
            str(self.control_plane.kubectl),
            f"--kubeconfig={self.control_plane.kubeconfig}",
            f"--namespace={self.namespace}",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await running.communicate(stdin.encode())
        if running.returncode:
            raise KubectlFailed(errors.decode())
        return output.decode()

    async def count_writes(self) -> Counter[str]:
        """Requests that changed CallJobs so far, by verb, as the API server counts them."""
        text = await self.kubectl("get", "--raw", "/metrics")
        writes: Counter[str] = Counter()
        for line in text.splitlines():
            if line.startswith("apiserver_request_total{") and 'resource="calljobs"' in line:
                verb = line.partition('verb="')[2].partition('"')[0]
                if verb in ("POST", "PUT", "PATCH", "DELETE"):
                    writes[verb] += int(float(line.rpartition(" ")[2]))
        return writes

    async def wait_for_event_reasons(self, name: str, reasons: list[str]) -> None:
        """Until the Events about a job have just these reasons, in this order."""

        async def are_posted() -> bool:
            return await self.list_event_reasons(name) == reasons

        await self._wait(are_posted, 20, f"{name} has the Events {', '.join(reasons)}")

    async def list_event_reasons(self, name: str) -> list[str]:
        """Reasons of the Kubernetes Events about a job, oldest first."""
        listed = json.loads(await self.kubectl("get", "events", "-o", "json"))["items"]
        about = [event for event in listed if event["involvedObject"]["name"] == name]
        about.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
        return [event["reason"] for event in about]


class KubectlFailed(Exception):
    """kubectl ended with an error; its text is the message."""
