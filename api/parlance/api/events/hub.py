"""One tail of the event stream per process, spread in memory to the clients that follow it.

A consumer per client does not scale on the server; one per process does. `Hub.listen` gives what
comes from now on, `Hub.follow` what is stored and then what comes, without gap or repeat. Events
are told apart by company, kind and id alone. The HTTP side of it is in `following`; the hub is
opened by `wiring` and ended by `asgi`.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass

import structlog
from parlance.api.events.frames import FramedEvent
from parlance.contracts.bus import subjects
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.ids import CompanySlug
from parlance.runtime import tasks
from parlance.runtime.bus import Bus, StoredEvent
from parlance.runtime.errors import BusReset, BusUnavailable
from prometheus_client import Counter, Gauge

_log = structlog.get_logger(__name__)
_LISTENERS = Gauge("parlance_event_listeners", "Clients that follow events.")
_HEAD = Gauge("parlance_event_sequence", "Last event that this process has seen.")
_FAILURES = Counter("parlance_event_tail_failures", "Defects that ended the tail for a moment.")
_CUT = Counter("parlance_event_listeners_cut", "Clients cut because they read too slowly.")

QUEUE_EVENTS = 1024
"""Events a client may be behind; about 2 MB at most. A call of an hour has some 300."""
_RETRY_SECONDS = 0.5


_Key = tuple[CompanySlug, str, str | None]
"""Company, kind, and id; the id is None for everything of the kind."""


@dataclass(frozen=True, slots=True)
class Topic:
    """What a client follows: one thing, or with `id` None all things of some kinds."""

    company: CompanySlug
    kinds: frozenset[Kind]
    id: str | None = None

    @property
    def filter_subject(self) -> str:
        """Of what is stored. A filter names one kind or all; `has` leaves out what is too much."""
        if len(self.kinds) > 1:
            return subjects.format_events_of_company(self.company)
        [kind] = self.kinds
        if self.id is None:
            return subjects.format_events_of_company_kind(self.company, kind)
        return subjects.format_events_of(self.company, kind, self.id)

    def has(self, event: FramedEvent) -> bool:
        """Whether an event that the filter found belongs here."""
        return event.envelope.kind in self.kinds

    @property
    def keys(self) -> list[_Key]:
        """Where the hub looks for listeners of an event; it has exactly one of them."""
        return [(self.company, kind, self.id) for kind in self.kinds]


def build_topic(company: CompanySlug, kind: Kind, id_: str) -> Topic:
    """One thing."""
    return Topic(company, frozenset((kind,)), id_)


class ListenerCut(Exception):
    """The client read too slowly, or the process ends. It may come back with its last id."""


class StreamRebuilt(Exception):
    """All sequences start anew: whatever id a client holds means nothing any more."""


class Listener:
    """Events for one client, from the moment it was made."""

    def __init__(self, topic: Topic, head: int, queue_events: int) -> None:
        self.topic = topic
        self.head = head
        """What has a higher sequence than this arrives here; the rest was handed out before."""
        self._queue: asyncio.Queue[FramedEvent | Exception] = asyncio.Queue(queue_events + 1)
        self._limit = queue_events

    def offer(self, event: FramedEvent) -> None:
        if self._queue.qsize() >= self._limit:
            _CUT.inc()
            self.end(ListenerCut())
        else:
            self._queue.put_nowait(event)

    def end(self, reason: Exception) -> None:
        """What is queued is dropped; the place kept free for it always takes the reason."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(reason)

    async def receive(self) -> FramedEvent:
        """The next event. Raises ListenerCut or StreamRebuilt, once and for all."""
        item = await self._queue.get()
        if isinstance(item, Exception):
            self.end(item)
            raise item
        return item


class Hub:
    """The process's share of the event stream."""

    def __init__(self, bus: Bus, *, queue_events: int = QUEUE_EVENTS) -> None:
        self._bus = bus
        self._queue_events = queue_events
        self._listeners: dict[_Key, set[Listener]] = {}
        self._head = 0
        self._live = asyncio.Event()
        self._is_closed = False

    @property
    def is_live(self) -> bool:
        return self._live.is_set()

    async def run(self) -> None:
        """Hand every event to its listeners, until cancelled."""
        has_head = False
        while True:
            try:
                if not has_head:
                    self._head, has_head = await self._bus.last_event_sequence(), True
                self._live.set()
                async for event in self._bus.tail_events(after_sequence=self._head):
                    self._spread(event)
            except BusReset:
                _log.warning("the event stream was rebuilt")
                # From its beginning: a client that listens again meanwhile must not miss anything.
                self._head = 0
                self._end_all(StreamRebuilt())
            except BusUnavailable as exc:
                _log.info("event tail waits for the bus", cause=str(exc))
            except Exception:  # noqa: BLE001 - top of a loop
                # A defect must not end every stream of this process for good.
                _FAILURES.inc()
                _log.exception("event tail failed")
            self._live.clear()
            await asyncio.sleep(_RETRY_SECONDS)

    def close(self) -> None:
        """End every stream now: the server cannot stop while one is open."""
        self._is_closed = True
        self._end_all(ListenerCut())

    @contextlib.contextmanager
    def listen(self, topic: Topic) -> Iterator[Listener]:
        """Receive the events of a topic from now on."""
        listener = Listener(topic, self._head, self._queue_events)
        if self._is_closed:
            listener.end(ListenerCut())
        for key in topic.keys:
            self._listeners.setdefault(key, set()).add(listener)
        _LISTENERS.inc()
        try:
            yield listener
        finally:
            _LISTENERS.dec()
            self._forget(listener)

    async def wait_live(self, timeout_seconds: float) -> None:
        """Raises BusUnavailable when the tail does not run in time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._live.wait()
        except TimeoutError as exc:
            raise BusUnavailable("event stream") from exc

    async def follow(self, listener: Listener, *, after: int) -> AsyncGenerator[FramedEvent, None]:
        """Stored events after a sequence, then live ones.

        The listener exists before the read begins, and the read ends where the listener begins:
        nothing is missed between the two and nothing comes twice. A client that comes from a
        process that is ahead of this one holds an id beyond `head`; what it knows is left out.
        """
        if after < listener.head:
            stored = self._read(listener.topic, after + 1, listener.head)
            async with contextlib.aclosing(stored):
                async for event in stored:
                    yield event
        while True:
            event = await listener.receive()
            if event.sequence > after:
                yield event

    async def find_event(self, topic: Topic, sequence: int) -> FramedEvent | None:
        """The event at exactly this place, if it belongs to the topic.

        None for an id that was trimmed away, or that another incarnation of the stream gave out.
        """
        found = [event async for event in self._read(topic, sequence, sequence)]
        return found[0] if found else None

    async def _read(self, topic: Topic, first: int, last: int) -> AsyncGenerator[FramedEvent, None]:
        """What is stored from the first to the last sequence, both included."""
        stored = self._bus.read_events(topic.filter_subject, start_sequence=first, up_to=last)
        async for found in stored:
            event = FramedEvent(found)
            if topic.has(event):
                yield event

    def _spread(self, stored: StoredEvent) -> None:
        self._head = stored.sequence
        _HEAD.set(stored.sequence)
        event, envelope = FramedEvent(stored), stored.envelope
        for id_ in (envelope.subject, None):
            for listener in self._listeners.get((envelope.company, envelope.kind, id_), ()):
                listener.offer(event)

    def _end_all(self, reason: Exception) -> None:
        for listeners in self._listeners.values():
            for listener in listeners:
                listener.end(reason)

    def _forget(self, listener: Listener) -> None:
        for key in listener.topic.keys:
            listeners = self._listeners.get(key, set())
            listeners.discard(listener)
            if not listeners:
                self._listeners.pop(key, None)


@contextlib.asynccontextmanager
async def open_hub(bus: Bus) -> AsyncIterator[Hub]:
    hub = Hub(bus)
    running = asyncio.create_task(hub.run(), name="event-hub")
    try:
        yield hub
    finally:
        hub.close()
        await tasks.end(running)
