"""Settings that every process shares, as frozen groups read once from the environment.

`__main__` builds them (`BusSettings()` reads `PARLANCE_...`), everything else receives them. Each
field's docstring says meaning, unit and why the default is what it is; docs/reference/settings.md
is generated from here.
"""

from pathlib import Path

from parlance.contracts.bus.streams import JOB_ACK_WAIT_SECONDS
from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

ENV_PREFIX = "PARLANCE_"


class SettingsGroup(BaseSettings):
    """Base: frozen, prefix PARLANCE_, empty variables count as absent."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
    )


class BusSettings(SettingsGroup):
    """NATS JetStream."""

    nats_url: str = "nats://127.0.0.1:4222"
    """Server address; several separated by commas."""
    nats_user: str | None = None
    """User name, when the server asks for one."""
    nats_password: SecretStr | None = None
    """Password of `nats_user`."""
    nats_replicas: int = Field(default=1, ge=1, le=5)
    """Replicas of each stream: 1 on one server, 3 on a cluster of three."""
    publish_deadline_seconds: float = Field(default=30.0, gt=0)
    """How long a publish is tried again before it is reported as failed. Outlasts a restart of
    the server (2 to 3 s measured) by far."""
    request_timeout_seconds: float = Field(default=5.0, gt=0)
    """One request to JetStream; a lost one is noticed after this time."""
    job_ack_wait_seconds: float = Field(default=JOB_ACK_WAIT_SECONDS, ge=1)
    """A job goes to another worker when its worker gave no sign of life for this long; a worker
    gives one every third of it. The same for all processes, each of which declares the consumers.
    Longer than a worker may stand still; `PARLANCE_STALL_SECONDS` is three times as long."""


class StoreSettings(SettingsGroup):
    """Object store."""

    store_url: str = "file:///var/lib/parlance/objects"
    """`file:///folder`, `s3://bucket/prefix` or `gs://bucket/prefix`."""
    store_endpoint: str | None = None
    """Endpoint of an S3 service that is not Amazon's."""
    store_region: str = "us-east-1"
    """Region; most S3 look-alikes ignore it."""
    store_access_key: SecretStr | None = None
    """Access key id. Absent: the platform's own identity is used."""
    store_secret_key: SecretStr | None = None
    """Secret of `store_access_key`."""
    store_timeout_seconds: float = Field(default=30.0, gt=0)
    """One request to the store."""


class MediaSettings(SettingsGroup):
    """Reading audio that nobody vouches for, in the API and in the worker."""

    decoder_allow_unsandboxed: bool = False
    """Read audio although the kernel refuses the decoder a seccomp filter. FFmpeg has had flaws
    that let a file run code; without the filter such a file has what the process has: its network,
    its keys and all audio. Otherwise uploads are answered 503 and calls wait, and health and log
    say why. Allow it only where all audio is your own."""


class KubeSettings(SettingsGroup):
    """Kubernetes API."""

    namespace: str = "parlance"
    """Namespace of the custom resources."""
    kubeconfig: Path | None = Field(default=None, validation_alias=AliasChoices("KUBECONFIG"))
    """Kubeconfig file. Absent: the pod's service account, else the user's default file."""
    kube_timeout_seconds: float = Field(default=20.0, gt=0)
    """One request; the API server answers in milliseconds or is in trouble."""


class TelemetrySettings(SettingsGroup):
    """Logs and metrics."""

    log_level: str = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    log_format: str = Field(default="json", pattern="^(json|console)$")
    """`json` for machines, `console` for people."""
    metrics_host: str = "0.0.0.0"  # noqa: S104 - scraped from outside the pod
    """Address of the port for metrics and health that each process has; it is not for clients."""
    metrics_port: int = Field(default=9090, ge=0, le=65535)
    """Port of /metrics and /health; 0 takes a free one."""
