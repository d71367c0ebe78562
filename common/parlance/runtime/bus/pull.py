"""Pull consumers: one outstanding request at a time, nothing delivered is ever dropped.

Why not the client's own fetch: it waits for a batch to fill up after the first message, and a
request that outlives its caller swallows messages until their ack wait ends. Here a message that
arrives late simply waits for the next `fetch`.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from parlance.runtime.bus.nats_client import NatsClient
from parlance.runtime.errors import BusUnavailable
from prometheus_client import Counter
from pydantic import ValidationError

_log = structlog.get_logger(__name__)
_MALFORMED = Counter(
    "parlance_bus_malformed_messages", "Messages that did not fit the contract.", ["consumer"]
)

_GRACE_SECONDS = 1.0
"""The server's own end of a request arrives at its deadline; ours comes a little later."""
_LOOK_SECONDS = 0.5
"""How soon a waiting request notices that the connection it was sent on is gone."""
_CLOSE_SECONDS = 2.0
_NO_MESSAGES = ("404", "408")

T = TypeVar("T")


class ConsumerGone(Exception):
    """The consumer or its stream does not exist (any more); declare again."""


@dataclass(slots=True)
class Delivery(Generic[T]):
    """One delivered message. It comes back after the ack wait unless acked or kept in progress."""

    value: T
    sequence: int
    """Sequence in the stream."""
    attempts: int
    """How often it was delivered, this time included."""
    _message: Msg = field(repr=False)
    _timeout_seconds: float = field(repr=False, default=5.0)

    async def ack(self) -> None:
        """Done; returns when the server has noted it. Raises BusUnavailable."""
        try:
            await self._message.ack_sync(timeout=self._timeout_seconds)
        except (NatsError, TimeoutError) as exc:
            raise BusUnavailable("ack") from exc

    async def ack_unconfirmed(self) -> None:
        """Done, for a reader to whom a second delivery is harmless: half the work of `ack`. Raises
        BusUnavailable."""
        await self._send(self._message.ack, "ack")

    async def nak(self, delay_seconds: float = 0.0) -> None:
        """Give it back; it is delivered again after the delay. Raises BusUnavailable."""
        await self._send(lambda: self._message.nak(delay=delay_seconds), "nak")

    async def in_progress(self) -> None:
        """Start the ack wait anew. Raises BusUnavailable."""
        await self._send(self._message.in_progress, "in progress")

    async def term(self) -> None:
        """Never deliver it again. Raises BusUnavailable."""
        await self._send(self._message.term, "term")

    async def _send(self, send: Callable[[], object], what: str) -> None:
        try:
            await send()  # type: ignore[misc] # the client's methods are untyped coroutines
        except (NatsError, TimeoutError) as exc:
            raise BusUnavailable(what) from exc


class Puller:
    """The requests of this process to one consumer."""

    def __init__(self, client: NatsClient, *, stream: str, consumer: str) -> None:
        self._client = client
        self._stream = stream
        self._consumer = consumer
        self._next_subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._inbox = ""
        self._subscription: Subscription | None = None
        self._queue: asyncio.Queue[Msg] = asyncio.Queue()
        self._returned: deque[Msg] = deque()
        self._owed = 0
        self._owed_until = 0.0
        self._reconnects = 0
        self._lock = asyncio.Lock()

    async def fetch(self, batch: int, wait_seconds: float) -> list[Msg]:
        """Up to `batch` messages as soon as there is one; [] after `wait_seconds`.

        With `wait_seconds` 0 only what the server has right now. Raises ConsumerGone.
        """
        async with self._lock:
            if self._is_reconnected():
                self._forget()
            ready = self._take_ready(batch)
            if ready:
                return ready
            await self._request(batch, wait_seconds)
            first = await self._wait(max(wait_seconds, _GRACE_SECONDS) + _GRACE_SECONDS)
            if first is None:
                return []
            taken = [first, *self._take_ready(batch - 1)]
            return taken if wait_seconds > 0 else await self._take_rest(taken, batch)

    async def _take_rest(self, taken: list[Msg], batch: int) -> list[Msg]:
        """What else answers a request that does not wait: the server sends it at once, and its end
        behind it. Left for later it would lie here while others could do the work."""
        try:
            while len(taken) < batch and self._owed > 0:
                message = await self._wait(_GRACE_SECONDS)
                if message is None:
                    break
                taken.append(message)
        except BaseException:
            self.put_back(taken)
            raise
        return taken

    def put_back(self, messages: Sequence[Msg]) -> None:
        """What was fetched for somebody who went away: the next `fetch` gets it first."""
        self._returned.extendleft(reversed(messages))

    async def close(self) -> None:
        """Give back what arrived too late for anyone to take."""
        if self._subscription is not None:
            # What is on its way when the server hears of it must not be lost: nobody else would
            # get it before its ack wait is over.
            with contextlib.suppress(NatsError, TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._client.end_interest(self._subscription)
        with contextlib.suppress(NatsError, TimeoutError):
            for message in self._take_ready(len(self._returned) + self._queue.qsize()):
                await message.nak()

    async def discard(self) -> None:
        """Stop listening; for readers that ack nothing."""
        if self._subscription is not None:
            await self._subscription.unsubscribe()

    async def _request(self, batch: int, wait_seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        if self._owed > 0 and now < self._owed_until and not self._is_reconnected():
            return  # the last request still stands
        self._reconnects = self._client.stats["reconnects"]
        if self._subscription is None:
            self._inbox = self._client.new_inbox()
            self._subscription = await self._client.subscribe(self._inbox, cb=self._queue.put)
        request: dict[str, object] = {"batch": batch}
        if wait_seconds > 0:
            request["expires"] = int(wait_seconds * 1e9)
        else:
            request["no_wait"] = True
        self._owed = batch
        self._owed_until = now + max(wait_seconds, _GRACE_SECONDS)
        await self._client.publish(self._next_subject, json.dumps(request).encode(), self._inbox)

    async def _wait(self, timeout_seconds: float) -> Msg | None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while (left := deadline - loop.time()) > 0:
            message = await self._next(min(left, _LOOK_SECONDS))
            if message is None:
                if self._is_reconnected() or not self._client.is_connected:
                    self._owed = 0  # the server forgot the request with the connection
                    raise ConsumerGone(f"{self._stream}/{self._consumer}: connection lost")
                continue
            status = _status_of(message)
            if status is None:
                self._owed -= 1
                return message
            self._owed = 0
            if status in _NO_MESSAGES:
                return None
            raise ConsumerGone(f"{self._stream}/{self._consumer}: status {status}")
        self._owed = 0
        return None

    async def _next(self, timeout_seconds: float) -> Msg | None:
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._queue.get()
        except TimeoutError:
            return None

    def _is_reconnected(self) -> bool:
        return bool(self._client.stats["reconnects"] != self._reconnects)

    def _forget(self) -> None:
        """What came on the connection before: after a wipe its numbers name other messages, which
        an ack would take. If nothing was wiped, it comes again after the ack wait."""
        self._reconnects = self._client.stats["reconnects"]
        self._owed = 0
        self._returned.clear()
        while not self._queue.empty():
            self._queue.get_nowait()

    def _take_ready(self, batch: int) -> list[Msg]:
        taken: list[Msg] = []
        while len(taken) < batch and self._returned:
            taken.append(self._returned.popleft())
        while len(taken) < batch and not self._queue.empty():
            message = self._queue.get_nowait()
            if _status_of(message) is None:
                taken.append(message)
                self._owed -= 1
            else:
                self._owed = 0  # the end of a request whose messages were all taken
        return taken


def _status_of(message: Msg) -> str | None:
    """The status code of a server note; None for a real message."""
    if message.headers and not message.data:
        return message.headers.get("Status")
    return None


async def parse_deliveries(
    messages: list[Msg], parse: Callable[[bytes], T], *, consumer: str, timeout_seconds: float
) -> list[Delivery[T]]:
    """Typed deliveries. What does not fit the contract never will: it is logged and ended."""
    deliveries = []
    for message in messages:
        metadata = message.metadata
        try:
            value = parse(message.data)
        except ValidationError as exc:
            _MALFORMED.labels(consumer).inc()
            _log.error("malformed message", subject=message.subject, problem=str(exc)[:500])
            await message.term()
            continue
        deliveries.append(
            Delivery(
                value=value,
                sequence=metadata.sequence.stream,
                attempts=metadata.num_delivered,
                _message=message,
                _timeout_seconds=timeout_seconds,
            )
        )
    return deliveries
