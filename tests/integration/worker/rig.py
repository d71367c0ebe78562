"""What surrounds a worker, and the worker processes that tests start and kill.

The tests stand where the operator and the recorder stand: they dispatch calls and follow events.
"""

import asyncio
import hashlib
import json
import pathlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from parlance.contracts import objects
from parlance.contracts.analysis.insights import Insights
from parlance.contracts.bus import streams
from parlance.contracts.bus.calls import CallDispatch, EventType, SegmentsReady
from parlance.contracts.bus.envelopes import Envelope, parse_data
from parlance.contracts.bus.tickets import Result
from parlance.contracts.calls import ChannelPolicy, Priority, Transcript
from parlance.contracts.ids import CallId, CompanySlug, TicketId, new_call_id
from parlance.contracts.values import Value
from parlance.runtime import bus as buses
from parlance.runtime import store as stores
from parlance.runtime.bus import Bus
from parlance.runtime.settings import BusSettings, StoreSettings
from parlance.runtime.store import Store

from devstack import http_probe, nats_server, ports, process, triton, waiting

COMPANY = CompanySlug("acme")
ACK_WAIT_SECONDS = 6.0
"""After a worker's death its call waits for this long. Longer than a busy machine stands still:
what a living worker holds must not go to another."""
_Value = TypeVar("_Value", bound=Value)


@dataclass
class Events:
    """Everything that was published, in order, followed live."""

    seen: list[Envelope] = field(default_factory=list)

    def of(self, id_: str, type_: str | None = None) -> list[Envelope]:
        return [
            event for event in self.seen if event.subject == id_ and type_ in (None, event.type)
        ]

    def windows_of(self, call_id: CallId) -> list[SegmentsReady]:
        return [parse_data(e, SegmentsReady) for e in self.of(call_id, EventType.SEGMENT)]


@dataclass
class Rig:
    """What surrounds a worker, seen from the operator's and the recorder's side."""

    bus: Bus
    store: Store
    events: Events
    environment: dict[str, str]
    folder: pathlib.Path

    async def submit(
        self,
        audio: pathlib.Path | bytes,
        *,
        channels: ChannelPolicy = ChannelPolicy.AUTO,
        priority: Priority = Priority.STANDARD,
    ) -> CallId:
        """Store the audio and dispatch the call."""
        call_id = new_call_id()
        data = audio if isinstance(audio, bytes) else await asyncio.to_thread(audio.read_bytes)
        key = objects.format_audio_key(COMPANY, call_id, "audio")
        await self.store.put_bytes(key, data)
        sha256 = hashlib.sha256(data).hexdigest()
        await self.dispatch(call_id, key, sha256=sha256, channels=channels, priority=priority)
        return call_id

    async def dispatch(
        self,
        call_id: CallId,
        key: str,
        *,
        attempt: int = 1,
        sha256: str | None = None,
        channels: ChannelPolicy = ChannelPolicy.AUTO,
        priority: Priority = Priority.STANDARD,
    ) -> None:
        await self.bus.publish_job(
            CallDispatch(
                call_id=call_id,
                company=COMPANY,
                attempt=attempt,
                name=f"call-{call_id}",
                namespace="parlance",
                uid=call_id,
                object_key=key,
                sha256=sha256,
                channels=channels,
                priority=priority,
                dispatched_at=datetime.now(UTC),
            )
        )

    async def wait_for(
        self, id_: str, type_: str, timeout_seconds: float = 100.0, count: int = 1
    ) -> None:
        await waiting.wait_until(
            lambda: len(self.events.of(id_, type_)) >= count,
            timeout_seconds,
            f"{count} x {type_} of {id_}",
            0.01,
        )

    async def take_ticket_result(
        self, ticket_id: TicketId, *, attempt: int = 1, timeout_seconds: float = 30.0
    ) -> Result:
        """As the recorder takes it; results of other attempts are acked and left out."""
        async with asyncio.timeout(timeout_seconds):
            while True:
                for delivery in await self.bus.pull_events(streams.TICKET_RESULTS, batch=1):
                    await delivery.ack()
                    envelope = delivery.value
                    if (envelope.subject, envelope.attempt) == (ticket_id, attempt):
                        return parse_data(envelope, Result)

    async def read_transcript(self, call_id: CallId) -> Transcript:
        event = self.events.of(call_id, EventType.ANALYZED)[-1]
        return await self.read(str(event.data["transcript_key"]), Transcript)

    async def read_insights(self, call_id: CallId) -> Insights:
        event = self.events.of(call_id, EventType.ANALYZED)[-1]
        return await self.read(str(event.data["insights_key"]), Insights)

    async def read(self, key: str, expected: type[_Value]) -> _Value:
        return expected.model_validate_json(await self.store.get_bytes(key))

    @asynccontextmanager
    async def worker(
        self, name: str, *before: str, awaits: str = "ready", **environment: str
    ) -> AsyncIterator["Worker"]:
        """A worker process that is ready: its bus is connected and its model answers.

        `before`: what starts the process, if it does not start by itself. `awaits`: which of its
        health checks is waited for.
        """
        port = ports.find_free_port()
        url = f"http://{ports.LOOPBACK}:{port}"
        command = process.Command(
            name=name,
            argv=[*before, sys.executable, "-m", "parlance.inference", "worker"],
            log_path=self.folder / f"{name}.log",
            environment={
                **self.environment,
                "PARLANCE_WORKER_NAME": name,
                "PARLANCE_METRICS_HOST": ports.LOOPBACK,
                "PARLANCE_METRICS_PORT": str(port),
                **environment,
            },
        )

        async def is_ready() -> bool:
            return await http_probe.is_ok(f"{url}/health/{awaits}")

        async with process.open_server(command, is_ready) as server:
            yield Worker(name, url, server, command.log_path)


@dataclass
class Worker:
    name: str
    url: str
    process: process.ServerProcess
    log_path: pathlib.Path

    def read_log(self) -> list[dict[str, object]]:
        lines = self.log_path.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


@asynccontextmanager
async def open_rig(
    nats: nats_server.NatsServer,
    model_server: triton.TritonServer | None,
    folder: pathlib.Path,
    *,
    ack_wait_seconds: float = ACK_WAIT_SECONDS,
) -> AsyncIterator[Rig]:
    """A store in `folder`, and everything that happens on the bus."""
    store_url = f"file://{folder / 'objects'}"
    settings = BusSettings(nats_url=nats.url, job_ack_wait_seconds=ack_wait_seconds)
    async with (
        buses.open_bus(settings, client_name="test") as bus,
        stores.open_store(StoreSettings(store_url=store_url)) as store,
    ):
        events = Events()
        follower = asyncio.create_task(_follow(bus, events))
        try:
            yield Rig(
                bus=bus,
                store=store,
                events=events,
                environment={
                    "PARLANCE_NATS_URL": nats.url,
                    "PARLANCE_STORE_URL": store_url,
                    **({"PARLANCE_TRITON_URL": model_server.grpc_url} if model_server else {}),
                    "PARLANCE_JOB_ACK_WAIT_SECONDS": str(ack_wait_seconds),
                },
                folder=folder,
            )
        finally:
            follower.cancel()


async def _follow(bus: Bus, events: Events) -> None:
    async for stored in bus.tail_events():
        events.seen.append(stored.envelope)
