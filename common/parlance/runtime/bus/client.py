"""The connection and what processes do with it. Opened once per process by its wiring."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import MaxPayloadError
from nats.js import JetStreamContext, api
from nats.js.errors import (
    APIError,
    NoStreamResponseError,
    NotFoundError,
    ServiceUnavailableError,
)
from parlance.contracts.bus import streams, subjects
from parlance.contracts.bus.messages import CallDispatch, ControlAction, Envelope
from parlance.contracts.calls import Priority
from parlance.runtime import telemetry
from parlance.runtime.bus import declare
from parlance.runtime.bus import read as reading
from parlance.runtime.bus import tail as tailing
from parlance.runtime.bus.pull import ConsumerGone, Delivery, Puller, parse_deliveries
from parlance.runtime.bus.read import StoredEvent
from parlance.runtime.errors import BusUnavailable, Permanent
from parlance.runtime.settings import BusSettings
from prometheus_client import Counter, Gauge, Histogram

_log = structlog.get_logger(__name__)
_PUBLISH_SECONDS = Histogram("parlance_bus_publish_seconds", "Publish until the stored ack.")
_PUBLISH_RETRIES = Counter("parlance_bus_publish_retries", "Publishes that were tried again.")
_CONNECTED = Gauge("parlance_bus_connected", "1 while the connection to NATS stands.")

_PING_SECONDS = 10
_RECONNECT_WAIT_SECONDS = 0.25
_BACKOFF_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6, 2.0)
_ANSWERS = (NoStreamResponseError, ServiceUnavailableError, NotFoundError, ConsumerGone)
"""Answers that mean: something that should be declared is not there."""

T = TypeVar("T")


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
        self._client_name = client_name
        self._nc = Client()
        self._js: JetStreamContext = self._nc.jetstream(timeout=settings.request_timeout_seconds)
        self._declared: dict[str, str] = {}
        self._connected = asyncio.Event()
        self._disconnected = asyncio.Event()
        self._ensuring = asyncio.Lock()
        self._ensure_task: asyncio.Task[None] | None = None
        self._pullers: dict[str, Puller] = {}

    # --- connection -------------------------------------------------------------------------

    @property
    def is_connected(self) -> bool:
        return self._nc.is_connected

    async def connect(self) -> None:
        """Connect and declare. Never gives up by itself; the caller sets the deadline."""
        password = self._settings.nats_password
        await self._nc.connect(
            servers=self._settings.nats_url.split(","),
            name=self._client_name,
            user=self._settings.nats_user,
            password=password.get_secret_value() if password else None,
            max_reconnect_attempts=-1,
            reconnect_time_wait=_RECONNECT_WAIT_SECONDS,  # type: ignore[arg-type] # any number works
            ping_interval=_PING_SECONDS,
            max_outstanding_pings=2,
            connect_timeout=self._settings.request_timeout_seconds,  # type: ignore[arg-type] # same
            error_cb=self._on_error,
            disconnected_cb=self._on_disconnected,
            reconnected_cb=self._on_reconnected,
        )
        self._mark_connected()
        await self._until_deadline("declare", self.ensure)

    async def close(self) -> None:
        if self._ensure_task is not None:
            self._ensure_task.cancel()
        if self._nc.is_connected:
            for puller in self._pullers.values():
                await puller.close()
            await self._nc.flush(timeout=2)
        await self._nc.close()
        _CONNECTED.set(0)

    async def ensure(self) -> None:
        """Declare streams and consumers (again): for callers that saw a stream missing."""
        async with self._ensuring:
            self._declared = await declare.apply(self._js, replicas=self._settings.nats_replicas)

    async def _on_error(self, error: Exception) -> None:
        _log.debug("nats", problem=repr(error))

    async def _on_disconnected(self) -> None:
        _CONNECTED.set(0)
        self._connected.clear()
        self._disconnected.set()
        _log.warning("nats disconnected")

    def _mark_connected(self) -> None:
        _CONNECTED.set(1)
        self._disconnected.clear()
        self._connected.set()

    async def _on_reconnected(self) -> None:
        self._mark_connected()
        _log.info("nats reconnected")
        # The server may have come back empty: whoever is first declares everything again.
        self._ensure_task = asyncio.create_task(self._ensure_after_reconnect())

    async def _ensure_after_reconnect(self) -> None:
        try:
            await self._until_deadline("declare", self.ensure)
        except BusUnavailable:
            _log.warning("streams not declared after reconnect; the next use tries again")

    # --- publishing -------------------------------------------------------------------------

    async def publish_event(self, envelope: Envelope) -> int:
        """Store an event; returns its sequence. The same id again is stored only once."""
        body = envelope.model_dump_json().encode()
        return (await self._publish(envelope.nats_subject, body, envelope.id)).seq

    async def publish_call(self, dispatch: CallDispatch) -> StoredJob:
        """Queue a call for the workers of its lane."""
        subject = subjects.format_job(subjects.Kind.CALL, dispatch.priority)
        message_id = subjects.format_dispatch_id(dispatch.uid, dispatch.attempt)
        ack = await self._publish(subject, dispatch.model_dump_json().encode(), message_id)
        created = self._declared.get(streams.JOBS.name, "")
        return StoredJob(ack.seq, created, is_repeat=bool(ack.duplicate))

    async def _publish(self, subject: str, body: bytes, message_id: str) -> api.PubAck:
        headers = {"Nats-Msg-Id": message_id, **telemetry.current_trace()}

        async def publish() -> api.PubAck:
            try:
                return await self._js.publish(
                    subject, body, timeout=self._settings.request_timeout_seconds, headers=headers
                )
            except MaxPayloadError as exc:
                raise Permanent(f"message of {len(body)} bytes is too large") from exc

        with _PUBLISH_SECONDS.time():
            return await self._until_deadline(f"publish to {subject}", publish)

    # --- jobs -------------------------------------------------------------------------------

    async def pull_calls(
        self, priority: Priority, *, batch: int = 1, wait_seconds: float = 0.0
    ) -> list[Delivery[CallDispatch]]:
        """Dispatches of one lane. `wait_seconds` 0 asks only for what is there now."""
        consumer = streams.job_consumer(subjects.Kind.CALL, priority)
        return await self._pull(consumer, CallDispatch.model_validate_json, batch, wait_seconds)

    async def is_job_stored(self, sequence: int) -> bool:
        """Whether the message is still in JOBS: waiting, or being worked on."""

        async def look() -> bool:
            try:
                await self._js.get_msg(streams.JOBS.name, seq=sequence)
            except NotFoundError:
                return False
            return True

        return await self._once("look at a job", look)

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

    # --- how things are tried ---------------------------------------------------------------

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
        messages = await self._once(
            f"pull from {consumer.durable}", lambda: puller.fetch(batch, wait_seconds)
        )
        return await parse_deliveries(
            messages,
            parse,
            consumer=consumer.durable,
            timeout_seconds=self._settings.request_timeout_seconds,
        )

    async def _created(self, stream: str) -> str:
        info = await self._once(f"look at {stream}", lambda: self._js.stream_info(stream))
        return info.created.isoformat() if info.created else ""

    async def _once(self, what: str, action: Callable[[], Awaitable[T]]) -> T:
        """One try; declares what is missing before it reports the failure."""
        try:
            async with asyncio.timeout(self._settings.request_timeout_seconds):
                await self._connected.wait()
            return await self._unless_disconnected(action())
        except _ANSWERS as exc:
            await self._ensure_quietly()
            raise BusUnavailable(what) from exc
        except (NatsError, TimeoutError, OSError) as exc:
            raise BusUnavailable(what) from exc

    async def _unless_disconnected(self, action: Awaitable[T]) -> T:
        """Give up at once when the connection breaks: the answer can no longer arrive."""
        running = asyncio.ensure_future(action)
        broken = asyncio.ensure_future(self._disconnected.wait())
        try:
            await asyncio.wait((running, broken), return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                return running.result()
            raise ConnectionResetError("nats disconnected")
        finally:
            broken.cancel()
            running.cancel()

    async def _until_deadline(self, what: str, action: Callable[[], Awaitable[T]]) -> T:
        """Try with growing pauses until the publish deadline."""
        deadline = monotonic() + self._settings.publish_deadline_seconds
        for attempt in range(1_000_000):
            try:
                return await self._once(what, action)
            except BusUnavailable:
                pause = _BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS) - 1)]
                if monotonic() + pause > deadline:
                    raise
                _PUBLISH_RETRIES.inc()
                await asyncio.sleep(pause)
        raise AssertionError("unreachable: the deadline ends the loop")

    async def _ensure_quietly(self) -> None:
        try:
            await self.ensure()
        except (NatsError, TimeoutError, OSError) as exc:
            _log.warning("streams could not be declared", problem=repr(exc))


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
        connecting.cancel()
        await bus.close()
