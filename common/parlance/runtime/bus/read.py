"""One short read of what a stream holds, by batched direct gets: no consumer is made.

A JetStream consumer per reader does not scale (the server refuses the 1,001st), a direct get does.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from parlance.contracts.bus.envelopes import Envelope
from parlance.runtime.errors import BusUnavailable
from pydantic import ValidationError

_log = structlog.get_logger(__name__)
_BATCH = 256


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event and its place in the stream."""

    sequence: int
    envelope: Envelope


async def read_events(
    client: Client,
    *,
    stream: str,
    filter_subject: str,
    start_sequence: int,
    up_to: int | None,
    timeout_seconds: float,
) -> AsyncIterator[StoredEvent]:
    """Stored events from `start_sequence` on, ascending. Raises BusUnavailable."""
    next_sequence = max(1, start_sequence)
    while up_to is None or next_sequence <= up_to:
        messages, more = await _get_batch(
            client, stream, filter_subject, next_sequence, timeout_seconds
        )
        for message in messages:
            sequence = int(message.headers["Nats-Sequence"]) if message.headers else 0
            if up_to is not None and sequence > up_to:
                return
            next_sequence = sequence + 1
            event = parse_event(sequence, message)
            if event is not None:
                yield event
        if not more:
            return


async def _get_batch(
    client: Client, stream: str, filter_subject: str, sequence: int, timeout_seconds: float
) -> tuple[list[Msg], bool]:
    """One batch, and whether the stream holds more that match."""
    request = {"seq": sequence, "next_by_subj": filter_subject, "batch": _BATCH}
    inbox = client.new_inbox()
    try:
        # Not their `next_msg`: a cancellation gets lost in it.
        arrived: asyncio.Queue[Msg] = asyncio.Queue()
        subscription = await client.subscribe(inbox, cb=arrived.put)
        try:
            await client.publish(
                f"$JS.API.DIRECT.GET.{stream}", json.dumps(request).encode(), inbox
            )
            return await _collect(arrived, timeout_seconds)
        finally:
            await subscription.unsubscribe()
    except (NatsError, TimeoutError) as exc:
        raise BusUnavailable(f"read of {stream}") from exc


async def _collect(arrived: asyncio.Queue[Msg], timeout_seconds: float) -> tuple[list[Msg], bool]:
    messages: list[Msg] = []
    async with asyncio.timeout(timeout_seconds):
        while True:
            message = await arrived.get()
            headers = message.headers or {}
            status = headers.get("Status")
            if status == "404":
                return messages, False
            if status == "204":
                return messages, int(headers.get("Nats-Num-Pending", "0")) > 0
            if status is not None:
                raise BusUnavailable(f"direct get: status {status}")
            messages.append(message)


def parse_event(sequence: int, message: Msg) -> StoredEvent | None:
    try:
        return StoredEvent(sequence, Envelope.model_validate_json(message.data))
    except ValidationError as exc:
        _log.error("malformed event", sequence=sequence, problem=str(exc)[:500])
        return None
