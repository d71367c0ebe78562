"""Composition root of the API: opens every adapter and lets each area build what its routes use.

The only place that knows how the parts fit together. Tests open it with settings that point to
their own servers.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from parlance.api.db import session
from parlance.api.db.session import Database
from parlance.api.domain.calls import area as calls
from parlance.api.domain.calls.deleting import CallDeletions
from parlance.api.domain.calls.jobs import CallSender
from parlance.api.domain.tickets import area as tickets
from parlance.api.domain.tickets.deleting import TicketDeletions
from parlance.api.domain.tickets.dispatching import TicketSender
from parlance.api.events import area as events
from parlance.api.events import hub as hub_module
from parlance.api.events.hub import Hub
from parlance.api.health import area as health
from parlance.api.health.checks import Readiness
from parlance.api.http.areas import Area
from parlance.api.identity.guard import Gate
from parlance.api.identity.keys import KeyRing
from parlance.api.outbox.deletions import Deleter
from parlance.api.outbox.relay import Relay
from parlance.api.settings import Settings
from parlance.media import decoders as decoders_module
from parlance.media.decoders import Decoders
from parlance.runtime import bus as bus_package
from parlance.runtime import kube, store
from parlance.runtime.bus import Bus
from parlance.runtime.clock import SystemClock
from parlance.runtime.kube import Kube
from parlance.runtime.store import Store


@dataclass(frozen=True, slots=True)
class Wired:
    """The areas with all that they use, and what the server needs of it."""

    areas: tuple[Area, ...]
    gate: Gate
    readiness: Readiness
    hub: Hub
    stopping: asyncio.Event

    def stop(self) -> None:
        """At the stop signal: not ready any more; streams and long polls end."""
        self.stopping.set()
        self.hub.close()


@contextlib.asynccontextmanager
async def open_wired(settings: Settings) -> AsyncIterator[Wired]:
    """Open everything. None of it waits for its server: the API starts and answers, with 503
    where it must, while Postgres, NATS, the store or Kubernetes are away."""
    async with contextlib.AsyncExitStack() as stack:
        bus = await stack.enter_async_context(
            bus_package.open_bus(settings.bus, client_name="parlance-api", wait_seconds=None)
        )
        yield build_wired(
            settings,
            database=await stack.enter_async_context(session.open_database(settings.database)),
            objects=await stack.enter_async_context(store.open_store(settings.store)),
            bus=bus,
            cluster=await stack.enter_async_context(kube.open_kube(settings.kube)),
            hub=await stack.enter_async_context(hub_module.open_hub(bus)),
            decoders=await stack.enter_async_context(decoders_module.open_decoders(settings.media)),
        )


def build_wired(
    settings: Settings,
    *,
    database: Database,
    objects: Store,
    bus: Bus,
    cluster: Kube,
    hub: Hub,
    decoders: Decoders,
) -> Wired:
    clock = SystemClock()
    calls_sender = CallSender(cluster, bus, clock, max_live_jobs=settings.recorder.max_live_jobs)
    relay = Relay(database, [calls_sender, TicketSender(bus, clock)], clock)
    deleter = Deleter(
        database, [CallDeletions(cluster, objects, bus), TicketDeletions(objects, bus)], clock
    )
    gate = Gate(KeyRing(database, clock))
    stopping = asyncio.Event()
    readiness = Readiness(
        required={"database": database.ping, "store": objects.check},
        optional={
            "bus": lambda: None if bus.is_connected and hub.is_live else "unavailable",
            "decoder": lambda: decoders.problem,
        },
        stopping=stopping,
    )
    areas = (
        calls.build_area(
            settings.http,
            database=database,
            store=objects,
            bus=bus,
            kube=cluster,
            hub=hub,
            gate=gate,
            relay=relay,
            deleter=deleter,
            spawner=decoders,
        ),
        tickets.build_area(
            database=database,
            store=objects,
            hub=hub,
            gate=gate,
            relay=relay,
            deleter=deleter,
            clock=clock,
        ),
        events.build_area(hub, gate),
        health.build_area(readiness),
    )
    return Wired(areas, gate, readiness, hub, stopping)
