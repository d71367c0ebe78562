"""The connection to NATS: kept for ever, declared anew when the server lost its store, and how
often something is tried. `client` stands on it; nobody else does.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

import structlog
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import NoStreamResponseError, NotFoundError, ServiceUnavailableError
from parlance.runtime.bus import declare
from parlance.runtime.bus.nats_client import NatsClient
from parlance.runtime.bus.publish import Publisher
from parlance.runtime.bus.pull import ConsumerGone
from parlance.runtime.errors import BusUnavailable
from parlance.runtime.settings import BusSettings
from prometheus_client import Counter, Gauge

_log = structlog.get_logger(__name__)
_RETRIES = Counter("parlance_bus_retries", "Requests to NATS that were tried again.")
_CONNECTED = Gauge("parlance_bus_connected", "1 while the connection to NATS stands.")

_PING_SECONDS = 10
_RECONNECT_WAIT_SECONDS = 0.25
_BACKOFF_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.6, 2.0)
_FLUSH_SECONDS = 2
_MISSING = (NoStreamResponseError, ServiceUnavailableError, NotFoundError, ConsumerGone)
"""Answers that mean: something that should be declared is not there."""

T = TypeVar("T")


class Connection:
    """One per process. Methods raise BusUnavailable when NATS is away."""

    def __init__(self, settings: BusSettings, *, client_name: str) -> None:
        self._settings = settings
        self._client_name = client_name
        self.nc = NatsClient()
        self.js: JetStreamContext = self.nc.jetstream(timeout=settings.request_timeout_seconds)
        self.publisher = Publisher(self.nc)
        self.created: dict[str, str] = {}
        """Creation time of each stream, as of the last declaration."""
        self._connected = asyncio.Event()
        self._disconnected = asyncio.Event()
        self._ensuring = asyncio.Lock()
        self._ensure_task: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        return self.nc.is_connected

    async def connect(self) -> None:
        """Connect and declare. Never gives up by itself; the caller sets the deadline."""
        password = self._settings.nats_password
        await self.nc.connect(
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
        await self.until_deadline("declare", self.ensure)

    async def close(self) -> None:
        """Also before the first connect has begun."""
        if self._ensure_task is not None:
            self._ensure_task.cancel()
        try:
            if self.nc.is_connected:
                with contextlib.suppress(NatsError, TimeoutError):  # a server that stands still
                    await self.nc.flush(timeout=_FLUSH_SECONDS)
        finally:
            if self.nc.is_connected or self.nc.is_reconnecting or self.nc.is_connecting:
                await self.nc.close()
            _CONNECTED.set(0)

    async def ensure(self) -> None:
        """Declare streams and consumers (again): for callers that saw a stream missing."""
        async with self._ensuring:
            self.created = await declare.apply(
                self.js,
                replicas=self._settings.nats_replicas,
                job_ack_wait_seconds=self._settings.job_ack_wait_seconds,
            )

    async def _on_error(self, error: Exception) -> None:
        _log.debug("nats", problem=repr(error))

    async def _on_disconnected(self) -> None:
        _CONNECTED.set(0)
        self._connected.clear()
        self._disconnected.set()
        self.publisher.give_up_all()
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
            await self.until_deadline("declare", self.ensure)
        except BusUnavailable:
            _log.warning("streams not declared after reconnect; the next use tries again")

    async def once(
        self, what: str, action: Callable[[], Awaitable[T]], *, notices_disconnect: bool = False
    ) -> T:
        """One try; declares what is missing before it reports the failure. `notices_disconnect`:
        the action gives up by itself when the connection breaks."""
        try:
            if not self._connected.is_set():
                async with asyncio.timeout(self._settings.request_timeout_seconds):
                    await self._connected.wait()
            if notices_disconnect:
                return await action()
            return await self._unless_disconnected(action())
        except _MISSING as exc:
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

    async def until_deadline(
        self, what: str, action: Callable[[], Awaitable[T]], *, notices_disconnect: bool = False
    ) -> T:
        """Try with growing pauses until the publish deadline."""
        deadline = monotonic() + self._settings.publish_deadline_seconds
        for attempt in range(1_000_000):
            try:
                return await self.once(what, action, notices_disconnect=notices_disconnect)
            except BusUnavailable:
                pause = _BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS) - 1)]
                if monotonic() + pause > deadline:
                    raise
                _RETRIES.inc()
                await asyncio.sleep(pause)
        raise AssertionError("unreachable: the deadline ends the loop")

    async def _ensure_quietly(self) -> None:
        try:
            await self.ensure()
        except (NatsError, TimeoutError, OSError) as exc:
            _log.warning("streams could not be declared", problem=repr(exc))
