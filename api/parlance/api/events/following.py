"""The event streams that clients see: snapshot, what is stored, what comes, and an end.

`find_position` checks what a client brings back, `follow` makes the body, `while_admitted` ends it
for a client whose key was revoked. Called by the routes of each kind's `.../{id}/events` and of
`GET /api/events`.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated, Protocol

from litestar.params import QueryParameter
from litestar.response import Stream
from parlance.api.events import frames
from parlance.api.events.frames import FramedEvent
from parlance.api.events.hub import Hub, ListenerCut, StreamRebuilt, Topic
from parlance.api.identity.guard import IsAdmitted
from parlance.contracts import lifecycle
from parlance.contracts.bus.envelopes import Envelope
from parlance.runtime import tasks
from parlance.runtime.errors import Retryable

PING_SECONDS = 15.0
"""Shorter than the idle limit of any proxy we know of (60 s), and of clients (45 s)."""
FIRST_PAUSE_SECONDS = 1.0
"""The stream of something old whose events were trimmed ends after this time, not after a ping."""
LIVE_WAIT_SECONDS = 3.0
ADMISSION_SECONDS = 15.0
"""How often the key of an open stream is looked at again."""
_NO_ID = 1 << 62
_MAX_ID = 10**18 - 1
RESYNC = "resync"
SNAPSHOT = "snapshot"

FromIn = Annotated[int | None, QueryParameter(name="from", ge=0, schema_extra={"minimum": 0})]
"""Query parameter `?from=`: the sequence to go on behind."""


@dataclass(frozen=True, slots=True)
class Ended:
    """There will be no more events: the terminal one, made from the row, or None when the row is
    gone."""

    event: Envelope | None


class View(Protocol):
    """What a stream shows beside the events of its subject; read from the database."""

    async def fetch_snapshot(self) -> bytes | None:
        """The subject as JSON on one line; None when it is gone."""
        ...

    async def fetch_end(self) -> Ended | None:
        """None while the subject is open. Asked at every ping, so it should cost little."""
        ...

    async def is_end(self, event: Envelope) -> bool:
        """Whether there will be nothing after this terminal event. What can be worked on again has
        one for each time."""
        ...


@dataclass(frozen=True, slots=True)
class Position:
    """Which event a client has seen last; None for a client that has seen none."""

    after: int | None = None
    is_valid: bool = True
    """False: its id means nothing here (too old, or of another incarnation)."""
    is_finished: bool = False
    """It has seen the terminal event already."""


def parse_last_id(header: str | None, from_: int | None) -> int | None:
    """Where the client was. The header wins: an EventSource keeps the `?from=` of its URL for
    ever. What is no number cannot be an id of ours and counts as one that means nothing."""
    if not header:
        return _NO_ID if from_ is not None and from_ > _MAX_ID else from_
    return int(header) if header.isascii() and header.isdecimal() and len(header) < 19 else _NO_ID


async def find_position(
    hub: Hub, topic: Topic, last_id: int | None, view: View | None = None
) -> Position:
    """Check the id that a client brings back; with `view`, also whether it has seen the end. Raises
    BusUnavailable."""
    await hub.wait_live(LIVE_WAIT_SECONDS)
    if last_id is None:
        return Position()
    if last_id == 0:
        return Position(after=0)
    event = await hub.find_event(topic, last_id)
    if event is None:
        return Position(is_valid=False)
    return Position(after=last_id, is_finished=await _is_end(event, view))


def build_response(body: AsyncGenerator[bytes, None], is_admitted: IsAdmitted) -> Stream:
    """A stream of server-sent events for as long as the key is good."""
    admitted = while_admitted(body, is_admitted)
    return Stream(admitted, media_type=frames.MEDIA_TYPE, headers=dict(frames.HEADERS))


async def while_admitted(
    body: AsyncGenerator[bytes, None],
    is_admitted: IsAdmitted,
    *,
    every_seconds: float = ADMISSION_SECONDS,
) -> AsyncGenerator[bytes, None]:
    """The frames, until the key is good no longer. The client that comes back is told why.

    Asked before a frame is handed out; pings see to it that there is one.
    """
    ask_at = time.monotonic() + every_seconds
    async with contextlib.aclosing(body):
        async for frame in body:
            if time.monotonic() >= ask_at:
                if not await is_admitted():
                    return
                ask_at = time.monotonic() + every_seconds
            yield frame


async def follow(
    hub: Hub, topic: Topic, position: Position, view: View | None = None
) -> AsyncGenerator[bytes, None]:
    """The body of a stream: of one subject until its end (with `view`), or of a company."""
    yield frames.PREAMBLE
    while True:
        try:
            with hub.listen(topic) as listener:
                async for frame in _open(position, view):
                    yield frame
                start = position.after
                if start is None:
                    start = listener.head if view is None else 0
                events = _with_pauses(hub.follow(listener, after=start))
                async with contextlib.aclosing(_format(events, view)) as body:
                    async for frame in body:
                        yield frame
            return
        except StreamRebuilt:
            position = Position(is_valid=False)
        except (ListenerCut, Retryable):
            return  # the client comes back with its last id, here or elsewhere


async def _open(position: Position, view: View | None) -> AsyncGenerator[bytes, None]:
    if not position.is_valid:
        yield frames.format_note(RESYNC, b'{"reason":"unknown_event_id"}', forget_id=True)
    if view is not None and position.after is None:
        snapshot = await view.fetch_snapshot()
        if snapshot is not None:
            yield frames.format_note(SNAPSHOT, snapshot)


async def _format(
    events: AsyncGenerator[FramedEvent | None, None], view: View | None
) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(events):
        async for event in events:
            if event is not None:
                yield event.frame
                if await _is_end(event, view):
                    return
                continue
            # Quiet for a while: the row says whether the end was missed (its event was trimmed,
            # or lost with the bus), or whether the subject is gone.
            ended = None if view is None else await view.fetch_end()
            if ended is None:
                yield frames.PING
                continue
            if ended.event is not None:
                data = ended.event.model_dump_json().encode()
                yield frames.format_note(ended.event.type, data)
            return


async def _with_pauses(
    events: AsyncGenerator[FramedEvent, None],
) -> AsyncGenerator[FramedEvent | None, None]:
    """The events, and None after each quiet while. A pending read survives the while."""
    pending: asyncio.Future[FramedEvent] | None = None
    quiet_seconds = FIRST_PAUSE_SECONDS
    try:
        while True:
            pending = pending or asyncio.ensure_future(anext(events))
            await asyncio.wait((pending,), timeout=quiet_seconds)
            if not pending.done():
                quiet_seconds = PING_SECONDS
                yield None
                continue
            finished, pending = pending, None
            yield finished.result()
    finally:
        if pending is not None:
            await tasks.end(pending)
        await events.aclose()


async def _is_end(event: FramedEvent, view: View | None) -> bool:
    """A stream without a view is a company's, which has no end."""
    envelope = event.envelope
    if view is None or not lifecycle.is_terminal_token(envelope.token):
        return False
    return await view.is_end(envelope)
