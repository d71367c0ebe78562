"""Settings of the API and the recorder, read once by `__main__` and passed down.

What every process shares (bus, store, Kubernetes, telemetry) is in `parlance.runtime.settings`;
here is what only these two have.
"""

from dataclasses import dataclass

from parlance.runtime.settings import (
    BusSettings,
    KubeSettings,
    MediaSettings,
    SettingsGroup,
    StoreSettings,
    TelemetrySettings,
)
from pydantic import Field, SecretStr

MAX_UPLOAD_BYTES = 524_288_000
"""500 MB as the public contract words it: exactly this many bytes are still allowed."""


class DatabaseSettings(SettingsGroup):
    """Postgres."""

    database_url: SecretStr = SecretStr("postgresql://parlance_app@127.0.0.1:5432/parlance")
    """libpq address of the application role, `postgresql://user:password@host:port/name`; TLS by
    `?sslmode=`. The role must be neither superuser nor owner: row security would not bind it."""
    database_owner_url: SecretStr | None = None
    """libpq address of the role that owns the tables. Only `migrate` uses it."""
    database_pool_size: int = Field(default=10, ge=1, le=200)
    """Connections kept open by one process. Ten serve about 3,000 short transactions a second."""
    database_pool_overflow: int = Field(default=10, ge=0, le=200)
    """Further connections under load; closed when idle again."""
    database_pool_timeout_seconds: float = Field(default=5.0, gt=0)
    """How long a request waits for a connection before it is answered 503."""
    database_connect_timeout_seconds: float = Field(default=5.0, gt=0)
    """Opening one connection."""
    database_statement_timeout_seconds: float = Field(default=30.0, gt=0)
    """One statement. The slowest regular one, the copy of 30,000 segments, takes about a second."""
    database_lock_timeout_seconds: float = Field(default=5.0, gt=0)
    """Waiting for a row that another transaction holds, before the caller is told to try again."""
    database_idle_transaction_timeout_seconds: float = Field(default=60.0, gt=0)
    """A transaction that does nothing is ended by the server: a stalled process must not hold
    locks. Longer than one request to the Kubernetes API, which the relay makes while it holds
    an outbox row."""


class HttpSettings(SettingsGroup):
    """The HTTP side of the API."""

    http_host: str = "0.0.0.0"  # noqa: S104 - served to the outside
    """Address to listen on."""
    http_port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one."""
    public_url: str | None = None
    """Address under which clients see the API, for links. Absent: that of the request."""
    max_upload_bytes: int = Field(default=MAX_UPLOAD_BYTES, ge=1)
    """Largest audio file."""
    max_concurrent_uploads: int = Field(default=32, ge=1)
    """Uploads and downloads that one process takes in at once. Each holds up to 24 MiB while its
    bytes are on their way to the store."""
    max_company_uploads: int = Field(default=16, ge=1)
    """How many of them may be of one company; half, so that two cannot keep out a third for long.
    Its further ones wait, or are answered 429 with Retry-After."""
    max_waiting_uploads: int = Field(default=1000, ge=0)
    """Further ones that wait for a place; their bytes stay with the client. Beyond it, 503 with
    Retry-After. As many again may be open that have shown neither a key nor a file yet."""
    upload_wait_seconds: float = Field(default=60.0, gt=0)
    """How long an upload waits for a place before it is answered 503, or 429 when its company
    holds all that it may have."""
    upload_idle_seconds: float = Field(default=30.0, gt=0)
    """Longest silence of a client in the middle of a body; longer than a mobile handover."""
    upload_min_bytes_per_second: int = Field(default=32 * 1024, ge=0)
    """Asked of a client in every minute that we wait for it: a client that only drips would hold
    a place for nothing. A quarter of a megabit; slower lines cannot carry a call as it happens."""
    upload_max_wait_seconds: float = Field(default=3000.0, gt=0)
    """All waiting for one client together. The largest file over a line of 1.4 Mbit/s takes as
    long; it stays below the age at which the janitor takes an upload for left behind
    (`orphan_seconds`)."""
    max_unkeyed_uploads: int = Field(default=4, ge=1)
    """Files that may be on their way at once although their key comes after them. A key in a
    header, or in a field before the file, is not concerned."""
    max_unkeyed_upload_bytes: int = Field(default=32 * 1024 * 1024, ge=1)
    """Largest file before its key; with the number above it bounds what is stored without a key."""
    key_wait_seconds: float = Field(default=30.0, gt=0)
    """Waiting for a client, or for one of those few places, until it has shown a valid key."""
    fetch_timeout_seconds: float = Field(default=120.0, gt=0)
    """Whole download of an `audio_url`, within the request."""
    fetch_allowed_hosts: tuple[str, ...] = ()
    """Host names or networks inside which `audio_url` may point although they are not public
    (JSON list). Everything that is not public is refused otherwise."""
    fetch_refusal_seconds: float = Field(default=1.0, ge=0)
    """An `audio_url` that may not be fetched is refused no sooner than this: otherwise the time of
    the lookup would tell which names exist inside the network. Longer than most lookups."""
    drain_seconds: float = Field(default=10.0, ge=0)
    """After a stop signal, how long running requests may take; event streams end at once."""


class RecorderSettings(SettingsGroup):
    """Relay, result writer and janitor."""

    max_live_jobs: int = Field(default=1000, ge=1)
    """Unfinished CallJobs in the namespace at most; the rest waits in the outbox. The default is
    what one control plane serves well for a custom resource."""
    relay_poll_seconds: float = Field(default=0.25, gt=0)
    """How often the outbox is looked at when it was empty. The API relays its own calls at once,
    so this is the delay only of what a crash or a full window left."""
    relay_batch: int = Field(default=32, ge=1, le=500)
    """CallJobs created per transaction, at the same time."""
    hold_results_seconds: float = Field(default=600.0, ge=0)
    """How long events are held while Postgres or the store is away; then they go back to the bus,
    which brings them again."""
    janitor_seconds: float = Field(default=60.0, gt=0)
    """Time between two passes of the janitor."""
    orphan_seconds: float = Field(default=3600.0, gt=0)
    """Age at which an upload counts as left behind, and at which an object without a row becomes a
    suspect. Longer than the longest upload."""
    max_orphan_suspects: int = Field(default=20, ge=0)
    """Objects without a row are deleted after 72 h if nobody speaks of them, but none at all while
    more than this many calls are concerned: a database restored from a backup has no rows for what
    is newer. Raise it once you know that they may go; 0 keeps all of them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a process of this component reads from its environment."""

    database: DatabaseSettings
    http: HttpSettings
    recorder: RecorderSettings
    bus: BusSettings
    store: StoreSettings
    media: MediaSettings
    kube: KubeSettings
    telemetry: TelemetrySettings


def read_settings() -> Settings:
    """Read the environment. Raises pydantic.ValidationError that names what is wrong."""
    return Settings(
        database=DatabaseSettings(),
        http=HttpSettings(),
        recorder=RecorderSettings(),
        bus=BusSettings(),
        store=StoreSettings(),
        media=MediaSettings(),
        kube=KubeSettings(),
        telemetry=TelemetrySettings(),
    )
