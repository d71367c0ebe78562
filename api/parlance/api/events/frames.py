"""Server-sent events as bytes. Knows the format, not what is sent. Used by this package only."""

import functools
from dataclasses import dataclass

from parlance.contracts.bus.envelopes import Envelope
from parlance.runtime.bus import StoredEvent

RETRY_MILLISECONDS = 2000
PREAMBLE = f"retry: {RETRY_MILLISECONDS}\n\n".encode()
PING = b": ping\n\n"

HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # a proxy that collects the stream would deliver it at the end
}
MEDIA_TYPE = "text/event-stream"


@dataclass(frozen=True)
class FramedEvent:
    """An event of the bus and its bytes, which are made at most once for all who listen."""

    stored: StoredEvent

    @property
    def sequence(self) -> int:
        return self.stored.sequence

    @property
    def envelope(self) -> Envelope:
        return self.stored.envelope

    @functools.cached_property
    def frame(self) -> bytes:
        return format_event(self.stored)


def format_event(event: StoredEvent) -> bytes:
    """An event of the bus; its id is its place in the stream, which `Last-Event-ID` brings back."""
    data = event.envelope.model_dump_json()
    return f"id: {event.sequence}\nevent: {event.envelope.type}\ndata: {data}\n\n".encode()


def format_note(name: str, data: bytes, *, forget_id: bool = False) -> bytes:
    """An event that is not in the stream. `data` is JSON on one line.

    `forget_id` empties the client's Last-Event-ID: what it knew is not valid any more.
    """
    reset = b"id\n" if forget_id else b""
    return b"%sevent: %s\ndata: %s\n\n" % (reset, name.encode(), data)
