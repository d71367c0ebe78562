"""Composition root of the API: opens every adapter and builds what handlers use.

The only place that knows how the parts fit together. Handlers get `Parts` as a parameter; tests
open it with settings that point to their own servers.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from parlance.api.db import session
from parlance.api.db.session import Database
from parlance.api.domain.calls.deleting import CallDeletions
from parlance.api.domain.calls.jobs import CallSender
from parlance.api.domain.calls.uploads.intake import Intake
from parlance.api.domain.calls.uploads.reading import UploadReader
from parlance.api.events import hub as hub_module
from parlance.api.events.hub import Hub
from parlance.api.identity.guard import Gate
from parlance.api.identity.keys import KeyRing
from parlance.api.outbox.deletions import Deleter
from parlance.api.outbox.relay import Relay
from parlance.api.settings import HttpSettings, Settings
from parlance.media import spawning
from parlance.runtime import addresses, kube, store
from parlance.runtime import bus as bus_package
from parlance.runtime.bus import Bus
from parlance.runtime.clock import SystemClock
from parlance.runtime.fetch import Fetcher, FetchPolicy
from parlance.runtime.kube import Kube
from parlance.runtime.store import Store


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that handlers use."""

    settings: Settings
    database: Database
    store: Store
    bus: Bus
    kube: Kube
    hub: Hub
    gate: Gate
    intake: Intake
    uploads: UploadReader
    fetcher: Fetcher
    relay: Relay
    deleter: Deleter
    stopping: asyncio.Event
    """Set at the stop signal: not ready any more, streams and long polls end."""

    def stop(self) -> None:
        self.stopping.set()
        self.hub.close()


@contextlib.asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Open everything. None of it waits for its server: the API starts and answers, with 503
    where it must, while Postgres, NATS, the store or Kubernetes are away."""
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(session.open_database(settings.database))
        objects = await stack.enter_async_context(store.open_store(settings.store))
        bus = await stack.enter_async_context(
            bus_package.open_bus(settings.bus, client_name="parlance-api", wait_seconds=None)
        )
        cluster = await stack.enter_async_context(kube.open_kube(settings.kube))
        hub = await stack.enter_async_context(hub_module.open_hub(bus))
        clock = SystemClock()
        gate = Gate(KeyRing(database, clock))
        intake = Intake(
            objects,
            max_bytes=settings.http.max_upload_bytes,
            max_running=settings.http.max_concurrent_uploads,
            max_waiting=settings.http.max_waiting_uploads,
            wait_seconds=settings.http.upload_wait_seconds,
            spawner=await stack.enter_async_context(spawning.open_template()),
        )
        sender = CallSender(cluster, bus, clock, max_live_jobs=settings.recorder.max_live_jobs)
        yield Parts(
            settings=settings,
            database=database,
            store=objects,
            bus=bus,
            kube=cluster,
            hub=hub,
            gate=gate,
            intake=intake,
            uploads=UploadReader(gate, intake),
            fetcher=Fetcher(build_fetch_policy(settings.http)),
            relay=Relay(database, [sender], clock),
            deleter=Deleter(database, [CallDeletions(cluster, objects, bus)], clock),
            stopping=asyncio.Event(),
        )


def build_fetch_policy(settings: HttpSettings) -> FetchPolicy:
    return FetchPolicy(
        max_bytes=settings.max_upload_bytes,
        allow=addresses.parse_allow_list(settings.fetch_allowed_hosts),
        total_seconds=settings.fetch_timeout_seconds,
    )
