"""The bus adapter on a real nats-server: what it promises, and what it survives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import nats as nats_client
import pytest
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus import envelopes, streams, subjects
from parlance.contracts.bus.calls import CallDispatch
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.calls import Priority, Stage
from parlance.contracts.ids import CallId, CompanySlug, new_call_id
from parlance.runtime import bus as bus_package
from parlance.runtime.bus import Bus, Delivery, StoredEvent
from parlance.runtime.errors import BusReset, BusUnavailable, Permanent
from parlance.runtime.settings import BusSettings

from devstack import nats_server, waiting

from .conftest import OpenBus
from .relay import relaying

ACME = CompanySlug("acme")


def progress(call_id: CallId, number: int) -> Envelope:
    data = call_events.Progress(
        percent=number % 101, stage=Stage.TRANSCRIBE, processed_seconds=number, total_seconds=1e6
    )
    return call_events.build_event(
        data, company=ACME, call_id=call_id, attempt=1, detail=str(number)
    )


def dispatch(
    call_id: CallId, *, attempt: int = 1, priority: Priority = Priority.STANDARD
) -> call_events.CallDispatch:
    return call_events.CallDispatch(
        call_id=call_id,
        company=ACME,
        attempt=1,
        name=f"call-{call_id}",
        namespace="parlance",
        uid=call_id,
        object_key="acme/calls/x/audio.wav",
        priority=priority,
        dispatched_at=datetime.now(UTC),
    )


@contextlib.asynccontextmanager
async def collecting(bus: Bus, seen: list[StoredEvent]) -> AsyncIterator[asyncio.Task[None]]:
    """Follow the tail into `seen`; ready once a first event has come through."""

    async def follow() -> None:
        async for event in bus.tail_events():
            seen.append(event)

    task = asyncio.create_task(follow())
    marker = 0
    while not seen:
        marker += 1
        await bus.publish_event(progress(new_call_id(), marker))
        await asyncio.sleep(0.05)
    yield task
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, BusReset):
        await task


def events_of(call_id: CallId, events: list[StoredEvent]) -> list[StoredEvent]:
    return [event for event in events if event.envelope.subject == call_id]


async def stored(bus: Bus, call_id: CallId, **where: int) -> list[StoredEvent]:
    wanted = subjects.format_events_of(ACME, subjects.Kind.CALL, call_id)
    return [event async for event in bus.read_events(wanted, **where)]


async def test_the_same_event_is_stored_once(bus: Bus) -> None:
    call_id = new_call_id()

    first = await bus.publish_event(progress(call_id, 1))
    again = await bus.publish_event(progress(call_id, 1))

    assert first == again
    assert len(await stored(bus, call_id)) == 1


async def test_reading_gives_all_events_of_one_call_in_order(bus: Bus) -> None:
    call_id, other = new_call_id(), new_call_id()
    for number in range(600):
        await bus.publish_event(progress(call_id if number % 2 else other, number))

    events = await stored(bus, call_id)

    assert [event.envelope.data["processed_seconds"] for event in events] == list(range(1, 600, 2))
    middle = events[100].sequence
    assert [
        e.sequence for e in await stored(bus, call_id, start_sequence=middle, up_to=middle)
    ] == [middle]
    assert await stored(bus, new_call_id()) == []


async def test_a_job_is_taken_by_one_and_gone_after_its_ack(bus: Bus, open_bus: OpenBus) -> None:
    other = await open_bus()
    call_id = new_call_id()
    job = await bus.publish_job(dispatch(call_id))

    taken = await bus.pull_jobs(CallDispatch, Priority.STANDARD, wait_seconds=2)

    assert [delivery.value.call_id for delivery in taken] == [call_id]
    assert await other.pull_jobs(CallDispatch, Priority.STANDARD) == []
    assert await bus.is_job_stored(job.sequence)
    await taken[0].ack()
    assert not await bus.is_job_stored(job.sequence)


async def test_a_waiting_pull_gets_the_job_at_once(bus: Bus) -> None:
    waiting_pull = asyncio.create_task(
        bus.pull_jobs(CallDispatch, Priority.BULK, batch=4, wait_seconds=10)
    )
    await asyncio.sleep(0.2)

    started = asyncio.get_running_loop().time()
    await bus.publish_job(dispatch(new_call_id(), priority=Priority.BULK))
    taken = await waiting_pull

    assert len(taken) == 1
    assert asyncio.get_running_loop().time() - started < 2


async def test_a_pull_that_does_not_wait_brings_all_that_is_there(bus: Bus) -> None:
    sent = [await bus.publish_job(dispatch(new_call_id())) for _ in range(5)]

    taken = await bus.pull_jobs(CallDispatch, Priority.STANDARD, batch=10)
    started = asyncio.get_running_loop().time()
    rest = await bus.pull_jobs(CallDispatch, Priority.STANDARD, batch=10)

    assert [delivery.sequence for delivery in taken] == [job.sequence for job in sent]
    assert rest == []
    assert asyncio.get_running_loop().time() - started < 0.5


async def test_a_job_given_back_comes_again_with_a_higher_count(bus: Bus) -> None:
    await bus.publish_job(dispatch(new_call_id()))
    (first,) = await bus.pull_jobs(CallDispatch, Priority.STANDARD, wait_seconds=2)

    await first.nak(delay_seconds=0.1)
    (second,) = await bus.pull_jobs(CallDispatch, Priority.STANDARD, wait_seconds=5)

    assert (first.attempts, second.attempts) == (1, 2)
    await second.ack()


async def test_a_job_without_a_sign_of_life_comes_again_after_the_wait_that_is_set(
    nats: nats_server.NatsServer,
) -> None:
    settings = BusSettings(nats_url=nats.url, job_ack_wait_seconds=1.0)
    async with bus_package.open_bus(settings, client_name="test") as bus:
        await bus.publish_job(dispatch(new_call_id()))
        (lost,) = await bus.pull_jobs(CallDispatch, Priority.STANDARD, wait_seconds=2)

        (again,) = await bus.pull_jobs(CallDispatch, Priority.STANDARD, wait_seconds=10)

        assert (lost.sequence, lost.attempts) == (again.sequence, 1)
        assert again.attempts == 2
        assert bus.job_heartbeat_seconds < settings.job_ack_wait_seconds / 2


async def test_a_job_on_its_way_to_a_process_that_closes_goes_to_another_at_once(
    bus: Bus, open_bus: OpenBus, nats: nats_server.NatsServer
) -> None:
    """As when a worker drains: the server still has its request, and sends it what comes."""
    raw = await nats_client.connect(nats.url)

    async def is_asked_for() -> bool:
        consumer = streams.job_consumer(subjects.Kind.CALL, Priority.STANDARD)
        info = await raw.jetstream().consumer_info(consumer.stream, consumer.durable)
        return bool(info.num_waiting)

    for turns in range(0, 120, 2):
        leaving = await open_bus()
        poll = asyncio.create_task(
            leaving.pull_jobs(CallDispatch, Priority.STANDARD, wait_seconds=5)
        )
        await waiting.wait_until(is_asked_for, 5, "the request stands", poll_seconds=0.01)
        published = asyncio.create_task(bus.publish_job(dispatch(new_call_id())))
        for _ in range(turns):  # a little later each time: from before it is sent to after it came
            await asyncio.sleep(0)
        if not poll.cancel():
            await poll.result()[0].nak()
        await leaving.close()
        await published
        (taken,) = await bus.pull_jobs(CallDispatch, Priority.STANDARD, wait_seconds=5)
        await taken.ack()
    await raw.close()


async def test_a_process_that_stops_pulling_and_goes_on_keeps_no_job_from_others(
    bus: Bus, open_bus: OpenBus
) -> None:
    """As a worker that drains for minutes."""
    draining = await open_bus()
    poll = asyncio.create_task(draining.pull_jobs(CallDispatch, Priority.STANDARD, wait_seconds=5))
    await asyncio.sleep(0.2)
    poll.cancel()
    await asyncio.wait([poll])

    await draining.stop_pulling()
    await bus.publish_job(dispatch(new_call_id()))
    (taken,) = await bus.pull_jobs(CallDispatch, Priority.STANDARD, wait_seconds=5)

    assert taken.attempts == 1
    await taken.ack()


async def test_a_message_outside_the_contract_is_ended_and_others_go_on(
    bus: Bus, nats: nats_server.NatsServer
) -> None:
    raw = await nats_client.connect(nats.url)
    await raw.jetstream().publish("jobs.call.standard", b'{"call_id": 7}')
    await raw.close()
    await bus.publish_job(dispatch(new_call_id()))

    taken: list[Delivery[call_events.CallDispatch]] = []
    while not taken:
        taken = await bus.pull_jobs(CallDispatch, Priority.STANDARD, batch=8, wait_seconds=2)

    assert len(taken) == 1


async def test_a_message_that_is_too_large_is_refused_and_others_go_on(bus: Bus) -> None:
    call_id = new_call_id()
    data = call_events.Failed(
        reason="InvalidInput",
        code="invalid_input",
        message="x" * envelopes.MAX_MESSAGE_BYTES,
        stage=Stage.TRANSCRIBE,
        retryable=False,
    )
    failed = call_events.build_event(data, company=ACME, call_id=call_id, attempt=1)

    with pytest.raises(Permanent, match="too large"):
        await bus.publish_event(failed)
    await bus.publish_event(progress(call_id, 1))
    assert [event.envelope.type for event in await stored(bus, call_id)] == ["call.progress"]


async def test_the_tail_sees_every_event_once_and_in_order_over_restarts(
    bus: Bus, nats: nats_server.NatsServer
) -> None:
    seen: list[StoredEvent] = []
    call_id = new_call_id()
    async with collecting(bus, seen):
        for number in range(60):
            if number in (20, 40):
                await nats.process.kill()
                await nats.process.start()
            await bus.publish_event(progress(call_id, number))
        await waiting.wait_until(
            lambda: len(events_of(call_id, seen)) >= 60, 20, "the tail has caught up"
        )

    mine = events_of(call_id, seen)
    assert [event.envelope.data["processed_seconds"] for event in mine] == list(range(60))
    sequences = [event.sequence for event in seen]
    assert sequences == sorted(set(sequences))


@pytest.mark.parametrize("subject", ["$JS.API.INFO", "nobody.answers"])
async def test_a_request_that_is_cancelled_just_when_its_answer_comes_is_cancelled(
    bus: Bus, subject: str
) -> None:
    """`asyncio.wait_for` of Python 3.11 forgets such a cancellation: a loop that was told to end
    went on, and whoever closed it waited for ever."""
    client = bus._connection.nc
    asking = asyncio.create_task(client.request(subject, timeout=10))
    await asyncio.sleep(0)
    (answer,) = client._resp_map.values()
    answer.add_done_callback(lambda _: asking.cancel())
    await asyncio.wait((asking,))

    assert asking.cancelled()


async def test_a_read_that_is_cancelled_at_any_moment_is_cancelled(bus: Bus) -> None:
    call_id = new_call_id()
    for number in range(3):
        await bus.publish_event(progress(call_id, number))

    for turns in range(60):
        reading = asyncio.create_task(stored(bus, call_id))
        for _ in range(turns):
            await asyncio.sleep(0)
        is_due = reading.cancel()
        await asyncio.wait((reading,))

        assert reading.cancelled() == is_due


async def test_jobs_of_a_kind_are_counted_until_they_are_acked(bus: Bus) -> None:
    began = datetime.now(UTC)
    assert await bus.find_oldest_job(Kind.CALL, Priority.STANDARD) is None
    for _ in range(2):
        await bus.publish_job(dispatch(new_call_id()))
    oldest = await bus.find_oldest_job(Kind.CALL, Priority.STANDARD)
    [delivery] = await bus.pull_jobs(CallDispatch, Priority.STANDARD, wait_seconds=5)

    assert oldest is not None
    assert abs(oldest - began) < timedelta(seconds=10)
    assert await bus.count_jobs(Kind.CALL) == 2
    assert await bus.count_jobs(Kind.TICKET) == 0
    assert await bus.find_oldest_job(Kind.CALL, Priority.BULK) is None
    await delivery.ack()
    newest = await bus.find_oldest_job(Kind.CALL, Priority.STANDARD)
    assert newest is not None
    assert newest > oldest


async def test_losing_the_whole_store_is_noticed_and_everything_is_declared_again(
    bus: Bus, nats: nats_server.NatsServer
) -> None:
    created = await bus.jobs_created()
    seen: list[StoredEvent] = []
    async with collecting(bus, seen) as tail:
        await nats.wipe()
        assert await bus.publish_event(progress(new_call_id(), 1)) >= 1
        with pytest.raises(BusReset):
            await asyncio.wait_for(tail, 15)

    assert await bus.jobs_created() != created
    await bus.publish_job(dispatch(new_call_id()))
    assert len(await bus.pull_jobs(CallDispatch, Priority.STANDARD, wait_seconds=5)) == 1


async def test_control_notes_are_replayed_to_a_late_watcher_and_then_followed(bus: Bus) -> None:
    await bus.put_control("job-1", ControlAction.CANCEL)
    notes: list[tuple[str, ControlAction]] = []

    async def watch() -> None:
        async for note in bus.watch_control():
            notes.append(note)

    task = asyncio.create_task(watch())
    await waiting.wait_until(lambda: notes, 5, "the standing note has come")
    await bus.put_control("job-2", ControlAction.PAUSE)
    await waiting.wait_until(lambda: len(notes) == 2, 5, "the new note has come")
    task.cancel()

    assert notes == [("job-1", ControlAction.CANCEL), ("job-2", ControlAction.PAUSE)]
    assert await bus.get_control("job-1") is ControlAction.CANCEL
    await bus.clear_control("job-1")
    assert await bus.get_control("job-1") is None


async def test_purging_takes_the_events_of_one_call_only(bus: Bus) -> None:
    mine, other = new_call_id(), new_call_id()
    await bus.publish_event(progress(mine, 1))
    await bus.publish_event(progress(other, 2))

    await bus.purge_events(subjects.format_events_of(ACME, subjects.Kind.CALL, mine))

    assert await stored(bus, mine) == []
    assert len(await stored(bus, other)) == 1


async def test_a_bus_that_is_away_is_reported_within_its_deadline(
    nats: nats_server.NatsServer, open_bus: OpenBus
) -> None:
    bus = await open_bus()
    await nats.process.kill()

    started = asyncio.get_running_loop().time()
    with pytest.raises(BusUnavailable):
        await bus.pull_events(streams.RECORDER, wait_seconds=1)

    assert asyncio.get_running_loop().time() - started < 8
    await nats.process.start()


async def test_a_server_that_accepts_and_stays_silent_costs_one_connection_not_one_a_try(
    nats: nats_server.NatsServer,
) -> None:
    """The bus is opened through the relay; connections after that one hear nothing."""
    async with relaying(nats) as relay:
        settings = BusSettings(nats_url=relay.url, request_timeout_seconds=1.0)
        async with bus_package.open_bus(settings, client_name="test"):
            relay.is_silent = True
            first = len(relay.accepted)
            relay.accepted[-1].close()
            await waiting.wait_until(
                lambda: len(relay.accepted) >= first + 4, 60, "it has tried again"
            )
            assert len(relay.accepted) - relay.ended <= 2
        await waiting.wait_until(
            lambda: relay.ended == len(relay.accepted), 20, "all connections are closed"
        )


@pytest.mark.parametrize("error", ["Authorization Violation", "Maximum Connections Exceeded"])
async def test_an_error_of_the_server_is_a_break_like_any_other(
    nats: nats_server.NatsServer, error: str
) -> None:
    """nats-py closes for good then."""
    async with relaying(nats) as relay:
        settings = BusSettings(nats_url=relay.url)
        async with bus_package.open_bus(settings, client_name="test") as bus:
            call_id = new_call_id()
            await bus.publish_event(progress(call_id, 1))
            relay.accepted[0].write(f"-ERR '{error}'\r\n".encode())
            await relay.accepted[0].drain()
            relay.accepted[0].close()
            await waiting.wait_until(lambda: len(relay.accepted) > 1, 10, "it has connected anew")
            await bus.publish_event(progress(call_id, 2))

            assert len(await stored(bus, call_id)) == 2


async def test_a_bus_is_closed_in_order_with_something_left_to_send_to_a_server_that_is_gone(
    nats: nats_server.NatsServer,
) -> None:
    """nats-py gives up half-way then, and leaves its tasks behind."""
    settings = BusSettings(nats_url=nats.url)
    async with bus_package.open_bus(settings, client_name="test") as bus:
        client = bus._connection.nc
        await nats.process.kill()
        await waiting.wait_until(lambda: not client.is_connected, 5, "the break is noticed")
        await client.publish("anything", b"left")

    assert client.is_closed
    assert client._subs == {}
