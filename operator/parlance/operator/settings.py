"""Settings of the operator alone; the bus, Kubernetes and telemetry have groups of their own."""

from parlance.operator.planning.observed import Limits
from parlance.runtime.settings import SettingsGroup
from pydantic import Field


class OperatorSettings(SettingsGroup):
    """Operator."""

    watch_all_namespaces: bool = False
    """Serve CallJobs of every namespace instead of `PARLANCE_NAMESPACE` only; needs a ClusterRole.
    """
    reconcilers: int = Field(default=16, ge=1, le=256)
    """Jobs worked on at the same time. 16 keep one API server core and the bus's fsyncs busy;
    more only grow the memory."""
    tick_seconds: float = Field(default=15.0, gt=0)
    """How often every unfinished job is looked at again: the bound for what a lost event costs."""
    stall_seconds: float = Field(default=90.0, gt=0)
    """A started job of which nothing was heard for this long is given to another worker. Three
    times the worker's ack wait, so that JetStream's own redelivery comes first."""
    progress_seconds: float = Field(default=15.0, gt=0)
    """Least time between two progress writes of one job within a stage; etcd keeps every one."""
    stage_seconds: float = Field(default=2.0, ge=0)
    """Least time between two progress writes at a change of stage."""
    release_seconds: float = Field(default=15.0, gt=0, le=25)
    """How long a deleted job waits for the bus before it is let go without it. `kubectl delete`
    is promised to return within 30 s."""
    resync_seconds: float = Field(default=60.0, gt=0)
    """How often the watch is compared with a list: proves that it is not deaf."""
    max_watch_lag_seconds: float = Field(default=150.0, gt=0)
    """The watch is deaf when it owes us a change for this long; liveness fails. kopf renews a
    silent watch after 70 s by itself."""
    max_bus_silence_seconds: float = Field(default=300.0, gt=0)
    """Liveness fails when NATS was not reached for this long; a fresh process may resolve a name
    anew. Longer than a restart of NATS with a large store."""
    drain_seconds: float = Field(default=10.0, gt=0)
    """How long running reconciles may take at shutdown; within the pod's grace period."""

    def limits(self) -> Limits:
        """The part that decisions rest on."""
        return Limits(
            stall_seconds=self.stall_seconds,
            progress_seconds=self.progress_seconds,
            stage_seconds=self.stage_seconds,
            release_seconds=self.release_seconds,
        )
