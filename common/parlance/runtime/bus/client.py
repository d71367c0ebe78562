"""What processes do with the bus. Opened once per process by its wiring."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError
from parlance.contracts.bus import envelopes, streams, subjects
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.jobs import ControlAction, Dispatch
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.calls import Priority
from parlance.contracts.ids import CompanySlug
from parlance.runtime import tasks, telemetry
from parlance.runtime.bus import read as reading
from parlance.runtime.bus import tail as tailing
from parlance.runtime.bus.connection import Connection
from parlance.runtime.bus.publish import Stored
from parlance.runtime.bus.pull import Delivery, Puller, parse_deliveries
from parlance.runtime.bus.read import StoredEvent
from parlance.runtime.errors import BusUnavailable, Permanent
from parlance.runtime.settings import BusSettings
from prometheus_client import Histogram

_PUBLISH_SECONDS = Histogram("parlance_bus_publish_seconds", "Publish until the stored ack.")

T = TypeVar("T")
D = TypeVar("D", bound=Dispatch)


@dataclass(frozen=True, slots=True)
class StoredJob:
    """Where a dispatch lies in JOBS."""

    sequence: int
    stream_created: str
    is_repeat: bool = False
    """The same attempt was queued before; this is where it lies (or lay) since."""


class Bus:
    """JetStream as Parlance uses it. All methods raise BusUnavailable when NATS is away."""

    def __init__(self, settings: BusSettings, *, client_name: str) -> None:
        self._settings = settings
        self._connection = Connection(settings, client_name=client_name)
        self._nc = self._connection.nc
        self._js = self._connection.js
        self._once = self._connection.once
        self._until_deadline = self._connection.until_deadline
        self._pullers: dict[str, Puller] = {}

    @property
    def is_connected(self) -> bool:
        return self._connection.nc.is_connected

    async def connect(self) -> None:
        """Connect and declare. Never gives up by itself; the caller sets the deadline."""
        await self._connection.connect()

    async def ensure(self) -> None:
        """Declare streams and consumers (again): for callers that saw a stream missing."""
        await self._connection.ensure()

    async def close(self) -> None:
        try:
            await self.stop_pulling()
        finally:
            await self._connection.close()

    # --- publishing -------------------------------------------------------------------------

    async def publish_event(self, envelope: Envelope) -> int:
        """Store an event; returns its sequence. The same id again is stored only once."""
        body = envelope.model_dump_json().encode()
        return (await self._publish(envelope.nats_subject, body, envelope.id)).sequence

    async def publish_result(self, envelope: Envelope) -> None:
        """Hand a result to the recorder. The same id again is stored only once."""
        subject = subjects.format_result(envelope.company, Kind(envelope.kind), envelope.subject)
        await self._publish(subject, envelope.model_dump_json().encode(), envelope.id)

    async def publish_job(self, dispatch: Dispatch) -> StoredJob:
        """Queue a piece of work for the workers of its lane."""
        subject = subjects.format_job(dispatch.kind, dispatch.priority, dispatch.subject_id)
        body = dispatch.model_dump_json().encode()
        stored = await self._publish(subject, body, dispatch.message_id)
        created = self._connection.created.get(streams.JOBS.name, "")
        return StoredJob(stored.sequence, created, is_repeat=stored.is_repeat)

    async def _publish(self, subject: str, body: bytes, message_id: str) -> Stored:
        """Raises Permanent for a message that is too large for the contract or for the server."""
        if len(body) > envelopes.MAX_MESSAGE_BYTES:
            raise _build_too_large(body)
        headers = {"Nats-Msg-Id": message_id, **telemetry.current_trace()}

        async def publish() -> Stored:
            try:
                return await self._connection.publisher.publish(
                    subject,
                    body,
                    headers,
                    timeout_seconds=self._settings.request_timeout_seconds,
                )
            except MaxPayloadError as exc:
                raise _build_too_large(body) from exc

        with _PUBLISH_SECONDS.time():
            return await self._until_deadline(
                f"publish to {subject}", publish, notices_disconnect=True
            )

    # --- jobs -------------------------------------------------------------------------------

    async def pull_jobs(
        self,
        expected: type[D],
        priority: Priority,
        *,
        batch: int = 1,
        wait_seconds: float = 0.0,
    ) -> list[Delivery[D]]:
        """Dispatches of one kind and lane. `wait_seconds` 0 asks only for what is there now."""
        consumer = streams.job_consumer(expected.kind, priority)
        return await self._pull(consumer, expected.model_validate_json, batch, wait_seconds)

    async def stop_pulling(self) -> None:
        """Withdraw the requests that stand at the server, and give back what they still bring: for
        a process that goes on without taking more. Without a connection there are none."""
        pullers, self._pullers = list(self._pullers.values()), {}
        if self.is_connected:
            await asyncio.gather(*(puller.close() for puller in pullers))

    async def is_job_stored(self, sequence: int) -> bool:
        """Whether the message is still in JOBS: waiting, or being worked on."""

        async def look() -> bool:
            try:
                await self._js.get_msg(streams.JOBS.name, seq=sequence)
            except NotFoundError:
                return False
            return True

        return await self._once("look at a job", look)

    async def count_jobs(self, kind: Kind) -> int:
        """How many dispatches of a kind are in JOBS: waiting, or being worked on."""

        async def count() -> int:
            # Of the consumers and not of the subjects, of which there may be one per dispatch.
            infos = [
                await self._js.consumer_info(
                    streams.JOBS.name, streams.job_consumer(kind, priority).durable
                )
                for priority in Priority
            ]
            return sum((info.num_pending or 0) + (info.num_ack_pending or 0) for info in infos)

        return await self._once("count jobs", count)

    async def is_held(self, company: CompanySlug, kind: Kind, id_: str) -> bool:
        """Whether the bus holds a dispatch of one thing or a result of it; only for kinds whose
        dispatches carry content."""

        async def look(stream: streams.Stream, subject: str) -> bool:
            try:
                await self._js.get_msg(stream.name, seq=1, subject=subject, next=True)
            except NotFoundError:
                return False
            return True

        for stream, subject in _list_carriers(company, kind, id_):
            if await self._once(
                f"look into {stream.name}", functools.partial(look, stream, subject)
            ):
                return True
        return False

    async def find_oldest_job(self, kind: Kind, priority: Priority) -> datetime | None:
        """When the oldest dispatch that is still in a lane was queued; None for an empty lane.
        Lanes are served in order, so what was queued before it is not there any more."""

        async def find() -> datetime | None:
            try:
                message = await self._js.get_msg(
                    streams.JOBS.name,
                    seq=1,
                    subject=subjects.format_jobs_of_lane(kind, priority),
                    next=True,
                )
            except NotFoundError:
                return None
            return message.time

        return await self._once("find the oldest job", find)

    async def delete_job(self, sequence: int) -> bool:
        """Take a message out of JOBS; False when it was not there."""

        async def delete() -> bool:
            try:
                return bool(await self._js.delete_msg(streams.JOBS.name, sequence))
            except ServiceUnavailableError:
                raise
            except APIError:
                return False

        return await self._once("delete a job", delete)

    @property
    def job_heartbeat_seconds(self) -> float:
        """How often a worker says that it still has a job: a third of the ack wait, so that two
        signs may be lost before the job goes to another worker."""
        return self._settings.job_ack_wait_seconds / 3

    @property
    def jobs_epoch(self) -> str:
        """Creation time of JOBS as last seen here, without asking. When it changes, sequences
        started anew, and an ack for a message from before would end another job's message."""
        return self._connection.created.get(streams.JOBS.name, "")

    async def jobs_created(self) -> str:
        """Creation time of JOBS: another one than before means that its content was lost."""
        return await self._created(streams.JOBS.name)

    # --- events -----------------------------------------------------------------------------

    async def pull_events(
        self, consumer: streams.Consumer, *, batch: int = 64, wait_seconds: float = 5.0
    ) -> list[Delivery[Envelope]]:
        return await self._pull(consumer, Envelope.model_validate_json, batch, wait_seconds)

    def read_events(
        self, filter_subject: str, *, start_sequence: int = 1, up_to: int | None = None
    ) -> AsyncIterator[StoredEvent]:
        """What EVENTS holds now, ascending, ending at the last one or at `up_to`."""
        return reading.read_events(
            self._nc,
            stream=streams.EVENTS.name,
            filter_subject=filter_subject,
            start_sequence=start_sequence,
            up_to=up_to,
            timeout_seconds=self._settings.request_timeout_seconds,
        )

    async def tail_events(
        self, filter_subject: str = subjects.EVENTS_ALL, *, after_sequence: int | None = None
    ) -> AsyncIterator[StoredEvent]:
        """Events from now on (or after a sequence), each once and in order. Raises BusReset."""
        async for message in tailing.tail(
            self._nc,
            self._js,
            stream=streams.EVENTS.name,
            filter_subject=filter_subject,
            after_sequence=after_sequence,
        ):
            sequence = message.metadata.sequence.stream
            event = reading.parse_event(sequence, message)
            if event is not None:
                yield event

    async def last_event_sequence(self) -> int:
        info = await self._once("look at EVENTS", lambda: self._js.stream_info(streams.EVENTS.name))
        return int(info.state.last_seq)

    async def events_created(self) -> str:
        """Creation time of EVENTS: another one means that sequences started anew."""
        return await self._created(streams.EVENTS.name)

    async def purge_events(self, filter_subject: str) -> None:
        await self._once(
            "purge events",
            lambda: self._js.purge_stream(streams.EVENTS.name, subject=filter_subject),
        )

    async def purge_carried(self, company: CompanySlug, kind: Kind, id_: str) -> None:
        """Delete what dispatches and results carry of one thing."""
        for stream, filter_subject in _list_carriers(company, kind, id_):
            await self._once(
                f"purge {stream.name}",
                functools.partial(self._js.purge_stream, stream.name, subject=filter_subject),
            )

    # --- control notes ----------------------------------------------------------------------

    async def put_control(self, job_id: str, action: ControlAction) -> None:
        """Leave a note for whoever works on the job."""

        async def put() -> None:
            await self._js.publish(subjects.format_control(job_id), action.value.encode())

        await self._until_deadline("put a control note", put)

    async def get_control(self, job_id: str) -> ControlAction | None:
        async def get() -> ControlAction | None:
            try:
                message = await self._js.get_last_msg(
                    streams.CONTROL.name, subjects.format_control(job_id)
                )
            except NotFoundError:
                return None
            return _parse_action(message.data or b"")

        return await self._once("get a control note", get)

    async def clear_control(self, job_id: str) -> None:
        await self._once(
            "clear a control note",
            lambda: self._js.purge_stream(
                streams.CONTROL.name, subject=subjects.format_control(job_id)
            ),
        )

    async def watch_control(self) -> AsyncIterator[tuple[str, ControlAction]]:
        """Notes: first those that stand, then new ones. Raises BusReset."""
        async for message in tailing.tail(
            self._nc,
            self._js,
            stream=streams.CONTROL.name,
            filter_subject=subjects.CONTROL_ALL,
            last_per_subject=True,
        ):
            action = _parse_action(message.data)
            if action is not None:
                yield subjects.parse_control(message.subject), action

    async def _pull(
        self,
        consumer: streams.Consumer,
        parse: Callable[[bytes], T],
        batch: int,
        wait_seconds: float,
    ) -> list[Delivery[T]]:
        puller = self._pullers.get(consumer.durable)
        if puller is None:
            puller = Puller(self._nc, stream=consumer.stream, consumer=consumer.durable)
            self._pullers[consumer.durable] = puller
        fetched: list[Msg] = []

        async def fetch() -> None:
            fetched.extend(await puller.fetch(batch, wait_seconds))

        try:
            await self._once(f"pull from {consumer.durable}", fetch)
            return await parse_deliveries(
                fetched,
                parse,
                consumer=consumer.durable,
                timeout_seconds=self._settings.request_timeout_seconds,
            )
        except asyncio.CancelledError:
            puller.put_back(fetched)  # it came just when nobody waited for it any more
            raise

    async def _created(self, stream: str) -> str:
        info = await self._once(f"look at {stream}", lambda: self._js.stream_info(stream))
        return info.created.isoformat() if info.created else ""


def _list_carriers(
    company: CompanySlug, kind: Kind, id_: str
) -> Iterator[tuple[streams.Stream, str]]:
    """Where content of one thing may be, in the order in which it gets there."""
    yield streams.JOBS, subjects.format_jobs_of(kind, id_)
    yield streams.RESULTS, subjects.format_result(company, kind, id_)


def _build_too_large(body: bytes) -> Permanent:
    return Permanent(f"message of {len(body)} bytes is too large")


def _parse_action(data: bytes) -> ControlAction | None:
    try:
        return ControlAction(data.decode())
    except ValueError:
        return None  # a deletion marker, or a note of a newer version


@asynccontextmanager
async def open_bus(
    settings: BusSettings, *, client_name: str, wait_seconds: float | None = 60.0
) -> AsyncIterator[Bus]:
    """Connect, declare, and close at the end.

    Waits up to `wait_seconds` for NATS and raises BusUnavailable. With None it connects in the
    background: for processes that must start and accept work while NATS is away.
    """
    bus = Bus(settings, client_name=client_name)
    connecting = asyncio.create_task(bus.connect())
    try:
        if wait_seconds is not None:
            try:
                async with asyncio.timeout(wait_seconds):
                    await connecting
            except (TimeoutError, NatsError) as exc:
                raise BusUnavailable(f"connect to {settings.nats_url}") from exc
        yield bus
    finally:
        await tasks.end(connecting)  # waited for, or a socket that was just opened is nobody's
        await bus.close()
