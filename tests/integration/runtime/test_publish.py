"""Publishing on a real nats-server: each message gets its own answer, or an error in time."""

import asyncio
import json
from collections.abc import AsyncIterator

import nats as nats_client
import pytest
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.js.errors import APIError, NoStreamResponseError
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus import streams
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.calls import Stage
from parlance.contracts.ids import CallId, CompanySlug, new_call_id
from parlance.runtime import bus as bus_package
from parlance.runtime.bus import Bus
from parlance.runtime.bus.publish import Publisher
from parlance.runtime.errors import BusUnavailable
from parlance.runtime.settings import BusSettings

from devstack import nats_server, waiting

from .relay import relaying

SUBJECT = "events.acme.call.x.progress"


@pytest.fixture
async def raw(nats: nats_server.NatsServer) -> AsyncIterator[Client]:
    """Another connection, for a look at what is stored."""
    client = await nats_client.connect(nats.url)
    yield client
    await client.close()


@pytest.fixture
def publisher(bus: Bus) -> Publisher:
    """Of a bus that has declared its streams."""
    return bus._connection.publisher


def build_event(call_id: CallId) -> Envelope:
    data = call_events.Progress(
        percent=1, stage=Stage.TRANSCRIBE, processed_seconds=1, total_seconds=2
    )
    return call_events.build_event(data, company=CompanySlug("acme"), call_id=call_id, attempt=1)


async def count_events(raw: Client) -> int:
    return int((await raw.jetstream().stream_info(streams.EVENTS.name)).state.messages)


async def listen(raw: Client, subject: str) -> Subscription:
    """Returns once the server knows of it; a flush may overtake the subscription."""
    subscription = await raw.subscribe(subject)
    await raw.publish(subject, b"hello")
    await subscription.next_msg(5)
    return subscription


async def test_of_many_at_once_each_is_told_where_its_own_message_lies(
    publisher: Publisher, raw: Client
) -> None:
    stored = await asyncio.gather(
        *(
            publisher.publish(SUBJECT, str(number).encode(), {}, timeout_seconds=10)
            for number in range(500)
        )
    )

    js, name = raw.jetstream(), streams.EVENTS.name
    found = [await js.get_msg(name, each.sequence) for each in stored]
    assert [message.data for message in found] == [str(n).encode() for n in range(500)]
    assert not any(each.is_repeat for each in stored)


async def test_they_share_one_subscription(publisher: Publisher, raw: Client, bus: Bus) -> None:
    await publisher.publish(SUBJECT, b"first", {}, timeout_seconds=10)
    before = len(bus._connection.nc._subs)
    for _ in range(5):
        await publisher.publish(SUBJECT, b"next", {}, timeout_seconds=10)

    assert len(bus._connection.nc._subs) == before
    assert await count_events(raw) == 6


async def test_a_repetition_is_told_where_the_first_one_lies(
    publisher: Publisher, raw: Client
) -> None:
    headers = {"Nats-Msg-Id": "the-same"}
    first = await publisher.publish(SUBJECT, b"1", headers, timeout_seconds=10)
    again = await publisher.publish(SUBJECT, b"2", headers, timeout_seconds=10)

    assert (first.is_repeat, again.is_repeat) == (False, True)
    assert first.sequence == again.sequence
    assert await count_events(raw) == 1


async def test_an_answer_that_never_comes_is_waited_for_no_longer_than_told(
    publisher: Publisher, raw: Client
) -> None:
    """Somebody hears it and says nothing; others are answered meanwhile."""
    await listen(raw, "silence")
    unheard = asyncio.create_task(publisher.publish("silence", b"", {}, timeout_seconds=0.5))
    stored = await publisher.publish(SUBJECT, b"", {}, timeout_seconds=10)

    with pytest.raises(TimeoutError):
        await unheard
    assert stored.sequence == 1
    assert publisher._waiting == {}


async def test_an_answer_that_comes_too_late_is_nobodys(publisher: Publisher, raw: Client) -> None:
    late = await listen(raw, "late")
    with pytest.raises(TimeoutError):
        await publisher.publish("late", b"", {}, timeout_seconds=0.1)
    await (await late.next_msg(5)).respond(json.dumps({"stream": "X", "seq": 99}).encode())
    await raw.publish("late", b"the server has the answer before this")
    await late.next_msg(5)
    stored = await publisher.publish(SUBJECT, b"", {}, timeout_seconds=10)

    assert stored.sequence == 1


async def test_what_no_stream_takes_is_told_at_once(publisher: Publisher) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(NoStreamResponseError):
            await publisher.publish("nobodys.subject", b"", {}, timeout_seconds=60)


async def test_what_the_stream_refuses_is_an_error(publisher: Publisher) -> None:
    headers = {"Nats-Expected-Last-Sequence": "99"}

    with pytest.raises(APIError, match="wrong last sequence"):
        await publisher.publish(SUBJECT, b"", headers, timeout_seconds=10)


async def test_a_stream_that_was_lost_is_declared_anew(bus: Bus, raw: Client) -> None:
    await raw.jetstream().delete_stream(streams.EVENTS.name)

    assert await bus.publish_event(build_event(new_call_id())) == 1
    assert await count_events(raw) == 1


async def test_when_the_connection_breaks_nobody_waits_for_an_answer(
    publisher: Publisher, nats: nats_server.NatsServer
) -> None:
    await publisher.publish(SUBJECT, b"", {}, timeout_seconds=10)
    await nats.process.pause()
    waiting_ones = [
        asyncio.create_task(publisher.publish(SUBJECT, b"", {}, timeout_seconds=60))
        for _ in range(5)
    ]
    await waiting.wait_until(lambda: len(publisher._waiting) == 5, 5, "all are on their way")
    await nats.process.kill()
    async with asyncio.timeout(10):
        results = await asyncio.gather(*waiting_ones, return_exceptions=True)

    assert [type(result) for result in results] == [ConnectionResetError] * 5
    await nats.process.start()


async def test_what_was_stored_as_the_connection_broke_is_stored_once(
    nats: nats_server.NatsServer, raw: Client
) -> None:
    """Its answer was lost, so it is published again, with the same id."""
    async with relaying(nats) as relay:
        settings = BusSettings(nats_url=relay.url, request_timeout_seconds=60.0)
        async with bus_package.open_bus(settings, client_name="test") as bus:
            before = await bus.publish_event(build_event(new_call_id()))
            relay.is_muted = True
            publishing = asyncio.create_task(bus.publish_event(build_event(new_call_id())))

            async def is_stored() -> bool:
                return await count_events(raw) == 2

            await waiting.wait_until(is_stored, 10, "the event is stored")
            is_answered = publishing.done()
            relay.is_muted = False
            relay.accepted[-1].close()
            async with asyncio.timeout(20):
                sequence = await publishing

            assert not is_answered
            assert sequence == before + 1
            assert await count_events(raw) == 2


async def test_while_nats_is_away_a_publish_fails_after_its_deadline(
    nats: nats_server.NatsServer,
) -> None:
    settings = BusSettings(
        nats_url=nats.url, request_timeout_seconds=0.5, publish_deadline_seconds=1.0
    )
    async with bus_package.open_bus(settings, client_name="test") as bus:
        await nats.process.kill()
        with pytest.raises(BusUnavailable):
            await bus.publish_event(build_event(new_call_id()))
        await nats.process.start()

        assert await bus.publish_event(build_event(new_call_id())) == 1
