"""Event streams over real NATS: every event once and in order, whatever is cut."""

import asyncio
import contextlib
import json
import random
import uuid
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.calls.reading import CallReader
from parlance.api.events import following, frames
from parlance.api.events import hub as hubs
from parlance.api.events.following import Ended, Position
from parlance.api.events.hub import Hub, Topic
from parlance.api.identity.guard import Gate
from parlance.api.identity.keys import KeyRing
from parlance.api.identity.principal import Principal
from parlance.contracts import ids
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus import envelopes
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.calls import Stage
from parlance.contracts.ids import CallId, CompanySlug
from parlance.runtime.bus import Bus
from parlance.runtime.clock import SystemClock
from sqlalchemy import event

from devstack import nats_server, waiting
from tests.integration.api_web.conftest import OpenHub
from tests.integration.api_web.support import Account, Api

ACME = CompanySlug("acme")


@dataclass
class View:
    """What the database says, as a test wants it."""

    snapshot: bytes | None = b'{"status":"queued"}'
    ended: Ended | None = None
    attempt: int = 1

    async def fetch_snapshot(self) -> bytes | None:
        return self.snapshot

    async def fetch_end(self) -> Ended | None:
        return self.ended

    async def is_end(self, event: Envelope) -> bool:
        return event.attempt >= self.attempt


@dataclass
class Client:
    """Reads frames as an EventSource does."""

    last_id: int | None = None
    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def feed(self, frame: bytes) -> None:
        name, data = "", ""
        for line in frame.decode().splitlines():
            key, _, value = line.partition(":")
            match key:
                case "id":
                    self.last_id = int(value) if value else None
                case "event":
                    name = value.strip()
                case "data":
                    data = value.strip()
        if name:
            self.events.append((name, json.loads(data)))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]


def progress(call_id: CallId, number: int, company: CompanySlug = ACME) -> Envelope:
    data = call_events.Progress(
        percent=0, stage=Stage.TRANSCRIBE, processed_seconds=number, total_seconds=1000
    )
    return call_events.build_event(
        data, company=company, call_id=call_id, attempt=1, detail=str(number)
    )


def completed(call_id: CallId) -> Envelope:
    data = call_events.Completed(
        transcript_key="k", transcript_sha256="0", segments=1, duration_seconds=1
    )
    return call_events.build_event(data, company=ACME, call_id=call_id, attempt=1)


def topic_of(call_id: CallId) -> Topic:
    return hubs.build_topic(ACME, Kind.CALL, call_id)


async def open_stream(
    hub: Hub, call_id: CallId, client: Client, view: View | None = None
) -> AsyncGenerator[bytes, None]:
    topic = topic_of(call_id)
    position = await following.find_position(hub, topic, client.last_id)
    return following.follow(hub, topic, position, view or View())


async def read_all(stream: AsyncGenerator[bytes, None], client: Client) -> None:
    async with asyncio.timeout(20), contextlib.aclosing(stream):
        async for frame in stream:
            client.feed(frame)


async def test_fifty_cuts_over_two_processes_lose_and_repeat_nothing(
    bus: Bus, open_hub: OpenHub
) -> None:
    hubs = [await open_hub(), await open_hub()]
    call_id, other_id, chance = ids.new_call_id(), ids.new_call_id(), random.Random(7)

    async def publish() -> None:
        for number in range(600):
            await bus.publish_event(progress(call_id, number))
            await bus.publish_event(progress(other_id, number))
        await bus.publish_event(completed(call_id))

    client, cuts, publishing = Client(), 0, asyncio.create_task(publish())
    while "call.completed" not in client.names:
        frames_left = chance.randint(2, 12) if cuts < 50 else 1_000_000
        stream = await open_stream(chance.choice(hubs), call_id, client)
        async with asyncio.timeout(30), contextlib.aclosing(stream):
            async for frame in stream:
                client.feed(frame)
                frames_left -= 1
                if frames_left == 0:
                    cuts += 1
                    break
    await publishing

    numbers = [
        data["data"]["processed_seconds"]  # type: ignore[index]  # JSON
        for name, data in client.events
        if name == "call.progress"
    ]
    assert cuts == 50
    assert numbers == list(range(600))
    assert client.names.count("call.completed") == 1


async def test_a_fresh_client_gets_a_snapshot_then_everything_that_is_stored(
    bus: Bus, open_hub: OpenHub
) -> None:
    call_id, client = ids.new_call_id(), Client()
    for number in range(3):
        await bus.publish_event(progress(call_id, number))
    await bus.publish_event(completed(call_id))

    await read_all(await open_stream(await open_hub(), call_id, client), client)

    assert client.names == ["snapshot", *["call.progress"] * 3, "call.completed"]


async def test_a_client_from_a_process_that_is_ahead_gets_no_event_twice(
    bus: Bus, open_hub: OpenHub
) -> None:
    hub, call_id = await open_hub(), ids.new_call_id()
    client = Client(last_id=await bus.publish_event(progress(call_id, 0)))
    stream = following.follow(hub, topic_of(call_id), Position(after=client.last_id), View())
    await bus.publish_event(completed(call_id))

    await read_all(stream, client)

    assert client.names == ["call.completed"]


@pytest.mark.parametrize("last_id", [999_999, 1])
async def test_an_id_that_is_not_of_this_call_asks_the_client_to_start_over(
    bus: Bus, open_hub: OpenHub, last_id: int
) -> None:
    call_id, client = ids.new_call_id(), Client(last_id=last_id)
    await bus.publish_event(progress(ids.new_call_id(), 0))
    await bus.publish_event(progress(call_id, 1))
    await bus.publish_event(completed(call_id))

    await read_all(await open_stream(await open_hub(), call_id, client), client)

    assert client.names == ["resync", "snapshot", "call.progress", "call.completed"]


async def test_a_client_that_has_seen_the_end_is_told_so(bus: Bus, open_hub: OpenHub) -> None:
    call_id, hub = ids.new_call_id(), await open_hub()
    last_id = await bus.publish_event(completed(call_id))

    position = await following.find_position(hub, topic_of(call_id), last_id)

    assert position.is_finished


async def test_a_call_whose_events_are_gone_still_ends(open_hub: OpenHub) -> None:
    call_id, client = ids.new_call_id(), Client()
    view = View(ended=Ended(completed(call_id)))

    await read_all(await open_stream(await open_hub(), call_id, client, view), client)

    assert client.names == ["snapshot", "call.completed"]


async def test_a_rebuilt_stream_makes_clients_start_over(
    bus: Bus, open_hub: OpenHub, nats: nats_server.NatsServer
) -> None:
    hub, call_id, client = await open_hub(), ids.new_call_id(), Client()
    for number in range(5):
        await bus.publish_event(progress(call_id, number))
    reading = asyncio.create_task(read_all(await open_stream(hub, call_id, client), client))
    await waiting.wait_until(lambda: len(client.events) == 6, 10, "the client is up to date")

    await nats.wipe()
    await waiting.wait_until(lambda: "resync" in client.names, 20, "the client starts over")
    await bus.publish_event(completed(call_id))
    await reading

    assert client.names[6:] == ["resync", "snapshot", "call.completed"]


async def test_a_slow_client_is_cut_and_gets_the_rest_with_its_id(
    bus: Bus, open_hub: OpenHub
) -> None:
    hub, call_id, client = await open_hub(), ids.new_call_id(), Client()
    hub._queue_events = 4
    stream = await open_stream(hub, call_id, client)
    first = await bus.publish_event(progress(call_id, 0))
    async for frame in stream:
        client.feed(frame)
        if client.last_id == first:
            break
    for number in range(1, 20):
        await bus.publish_event(progress(call_id, number))
    last = await bus.publish_event(completed(call_id))
    await waiting.wait_until(lambda: hub._head == last, 10, "the hub has seen everything")

    await read_all(stream, client)
    assert "call.completed" not in client.names
    await read_all(await open_stream(hub, call_id, client), client)

    assert client.names.count("call.progress") == 20
    assert client.names[-1] == "call.completed"


async def test_closing_the_hub_ends_every_stream_at_once(open_hub: OpenHub) -> None:
    hub, client = await open_hub(), Client()
    reading = asyncio.create_task(
        read_all(await open_stream(hub, ids.new_call_id(), client), client)
    )
    await waiting.wait_until(lambda: client.names == ["snapshot"], 10, "the stream is open")

    hub.close()

    async with asyncio.timeout(1):
        await reading


async def test_a_stream_ends_soon_after_its_key_was_revoked(api: Api, acme: Account) -> None:
    async def ping() -> AsyncGenerator[bytes, None]:
        while True:
            await asyncio.sleep(0.1)
            yield frames.PING

    gate = Gate(KeyRing(api.database, SystemClock()))
    is_admitted = gate.build_question(acme.key, {Kind.CALL})
    body = following.while_admitted(ping(), is_admitted, every_seconds=0.2)
    async with asyncio.timeout(20), contextlib.aclosing(body):
        assert [await anext(body) for _ in range(5)] == [frames.PING] * 5
        async with api.database.system_session() as session:
            await session.execute(sa.update(tables.ApiKey).values(revoked_at=datetime.now(UTC)))

        async for _ in body:
            pass


async def test_a_ping_of_a_quiet_stream_costs_one_transaction_at_most(
    api: Api, acme: Account, open_hub: OpenHub
) -> None:
    call = tables.Call(company_id=acme.id)
    async with api.database.company_session(acme.id) as session:
        session.add(call)
    principal = Principal(acme.id, ACME, "key:x", frozenset({"admin"}))
    reader = CallReader(api.database, principal, "http://x", call.id)
    begun: list[object] = []
    stream = following.follow(await open_hub(), reader.topic, Position(), reader)
    async with asyncio.timeout(20), contextlib.aclosing(stream):
        opening = [await anext(stream), await anext(stream)]
        event.listen(api.database._engine.sync_engine, "begin", begun.append)

        ping = await anext(stream)

    assert (opening[0], ping) == (frames.PREAMBLE, frames.PING)
    assert opening[1].startswith(b"event: snapshot")
    assert len(begun) <= 1


async def test_the_stream_of_a_call_that_is_deleted_ends(
    api: Api, acme: Account, open_hub: OpenHub
) -> None:
    principal = Principal(acme.id, ACME, "key:x", frozenset({"admin"}))
    reader = CallReader(api.database, principal, "http://x", uuid.uuid4())
    client = Client()

    stream = following.follow(await open_hub(), reader.topic, Position(), reader)
    await read_all(stream, client)

    assert client.names == []


async def test_what_is_stored_is_narrowed_to_the_kinds_that_a_client_may_see(
    bus: Bus, open_hub: OpenHub
) -> None:
    call_id = ids.new_call_id()
    await bus.publish_event(progress(call_id, 0))
    ticket = envelopes.build_event(
        "ticket.created", call_events.Cancelled(), company=ACME, subject="7", attempt=1
    )
    last = await bus.publish_event(ticket)
    hub = await open_hub()
    found = {}
    for kinds in ({Kind.CALL}, {Kind.TICKET}, {Kind.CALL, Kind.TICKET}):
        topic = Topic(ACME, frozenset(kinds))
        with hub.listen(topic) as listener:
            listener.head = last
            events = hub.follow(listener, after=0)
            async with asyncio.timeout(10), contextlib.aclosing(events):
                found[topic.kinds] = [(await anext(events)).envelope.type for _ in kinds]

    assert found == {
        frozenset({Kind.CALL}): ["call.progress"],
        frozenset({Kind.TICKET}): ["ticket.created"],
        frozenset({Kind.CALL, Kind.TICKET}): ["call.progress", "ticket.created"],
    }


async def test_a_company_stream_shows_nothing_of_another_company(
    bus: Bus, open_hub: OpenHub
) -> None:
    hub, client = await open_hub(), Client()
    stream = following.follow(hub, Topic(ACME, frozenset({Kind.CALL})), Position())
    reading = asyncio.create_task(read_all(stream, client))
    await waiting.wait_until(lambda: bool(hub._listeners), 10, "the stream is open")
    await bus.publish_event(progress(ids.new_call_id(), 0, CompanySlug("globex")))
    await bus.publish_event(progress(ids.new_call_id(), 1))
    await waiting.wait_until(lambda: client.events, 10, "an event arrived")
    hub.close()
    await reading

    assert [data["company"] for _, data in client.events] == ["acme"]
