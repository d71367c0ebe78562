"""What dies in the middle of a call, and that nothing is lost or done twice."""

import asyncio
import pathlib
from collections.abc import AsyncIterator

import pytest
from parlance.contracts import objects
from parlance.contracts.bus import subjects
from parlance.contracts.bus.calls import (
    CallDispatch,
    EventType,
    Progress,
    Reset,
    SegmentsReady,
    Started,
)
from parlance.contracts.bus.envelopes import Envelope, parse_data
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.calls import Priority, Transcript
from parlance.contracts.ids import CallId

from devstack import nats_server, testdata, triton, waiting
from tests.integration.worker import rig as rigs
from tests.integration.worker.rig import COMPANY, Rig, Worker

CALL_SECONDS = 300.0
_NARROW = {"PARLANCE_WORKER_WINDOWS_PER_CALL": "2"}
"""Few windows on their way: there is a middle to kill things in."""


@pytest.fixture
async def patient_rig(
    nats: nats_server.NatsServer, stub_triton: triton.TritonServer, tmp_path: pathlib.Path
) -> AsyncIterator[Rig]:
    """In which no call goes to another worker because nothing is heard of its own."""
    async with rigs.open_rig(nats, stub_triton, tmp_path, ack_wait_seconds=600) as opened:
        yield opened


async def _submit_long_call(rig: Rig) -> CallId:
    call = await testdata.make_long_call(CALL_SECONDS)
    return await rig.submit(call.path)


async def _transcribe_undisturbed(rig: Rig) -> Transcript:
    call_id = await _submit_long_call(rig)
    await rig.wait_for(call_id, EventType.ANALYZED)
    return await rig.read_transcript(call_id)


def _assert_every_window_once(rig: Rig, call_id: CallId) -> None:
    numbers = [window.window for window in rig.events.windows_of(call_id)]
    assert numbers == list(range(len(numbers)))


async def test_a_killed_worker_is_followed_by_one_that_goes_on_where_it_was(rig: Rig) -> None:
    async with rig.worker("first", **_NARROW) as first:
        call_id = await _submit_long_call(rig)
        await rig.wait_for(call_id, EventType.SEGMENT, count=3)
        await first.process.kill()
        done = len(rig.events.windows_of(call_id))
    async with rig.worker("second"):
        # The ack wait comes first.
        await rig.wait_for(call_id, EventType.ANALYZED)
        undisturbed = await _transcribe_undisturbed(rig)

    _assert_every_window_once(rig, call_id)
    second = parse_data(rig.events.of(call_id, EventType.STARTED)[-1], Started)
    assert second.worker == "second"
    assert second.resumed_windows >= done
    transcript = await rig.read_transcript(call_id)
    assert [s.spans for s in transcript.speech] == [s.spans for s in undisturbed.speech]
    assert transcript.segments == undisturbed.segments


async def test_a_worker_that_is_told_to_stop_hands_its_call_over_at_once(patient_rig: Rig) -> None:
    rig = patient_rig
    async with rig.worker("first", PARLANCE_WORKER_DRAIN_SECONDS="0", **_NARROW) as first:
        call_id = await _submit_long_call(rig)
        await rig.wait_for(call_id, EventType.SEGMENT, count=2)
        await first.process.stop()
    await rig.wait_for(call_id, EventType.RETRYING)
    async with rig.worker("second"):
        # Long before the ack wait is over.
        await rig.wait_for(call_id, EventType.STARTED, count=2)
        await rig.wait_for(call_id, EventType.ANALYZED)

    _assert_every_window_once(rig, call_id)


async def test_a_call_whose_windows_are_cut_otherwise_is_said_anew_after_a_reset(rig: Rig) -> None:
    async with rig.worker("first", PARLANCE_WORKER_DRAIN_SECONDS="0", **_NARROW) as first:
        call_id = await _submit_long_call(rig)
        await rig.wait_for(call_id, EventType.SEGMENT, count=2)
        await first.process.stop()
    async with rig.worker("second", PARLANCE_WORKER_WINDOW_SECONDS="12"):
        await rig.wait_for(call_id, EventType.ANALYZED)

    types = [event.type for event in rig.events.of(call_id)]
    (reset,) = rig.events.of(call_id, EventType.RESET)
    at = types.index(EventType.RESET)
    assert types[at + 1] == EventType.STARTED
    assert EventType.SEGMENT in types[:at]
    after = [window for window in rig.events.windows_of(call_id) if _is_after(window, reset)]
    assert [window.window for window in after] == list(range(len(after)))
    transcript = await rig.read_transcript(call_id)
    said = sorted(segment.id for window in after for segment in window.segments)
    assert sorted(segment.id for segment in transcript.segments) == said


def _is_after(window: SegmentsReady, reset: Envelope) -> bool:
    """By the rule for clients: what names the model of the last reset."""
    return window.model_hash == parse_data(reset, Reset).model_hash


async def test_a_model_server_that_is_killed_and_comes_back_costs_only_time(
    rig: Rig, stub_triton: triton.TritonServer
) -> None:
    async with rig.worker("a", **_NARROW):
        call_id = await _submit_long_call(rig)
        await rig.wait_for(call_id, EventType.SEGMENT, count=2)
        await stub_triton.process.kill()
        try:
            await waiting.wait_until(
                lambda: "WaitingForModel" in _list_reasons(rig, call_id), 60, "the worker says why"
            )
        finally:
            await stub_triton.process.start()
        await rig.wait_for(call_id, EventType.ANALYZED)

    _assert_every_window_once(rig, call_id)
    assert len(rig.events.of(call_id, EventType.STARTED)) == 1
    assert rig.events.of(call_id, EventType.RETRYING) == []


def _list_reasons(rig: Rig, call_id: CallId) -> list[str | None]:
    """What the worker said it was waiting for."""
    signs = [parse_data(event, Progress) for event in rig.events.of(call_id, EventType.PROGRESS)]
    return [sign.waiting_for for sign in signs]


async def test_a_bus_that_is_killed_and_comes_back_costs_only_time(
    rig: Rig, nats: nats_server.NatsServer
) -> None:
    async with rig.worker("a", **_NARROW):
        call_id = await _submit_long_call(rig)
        await rig.wait_for(call_id, EventType.SEGMENT, count=2)
        await nats.process.kill()
        await nats.process.start()
        await rig.wait_for(call_id, EventType.ANALYZED)

    _assert_every_window_once(rig, call_id)


async def test_a_bus_that_lost_everything_gets_the_call_again_and_nothing_runs_twice(
    rig: Rig, nats: nats_server.NatsServer
) -> None:
    async with rig.worker("a", **_NARROW) as worker:
        call_id = await _submit_long_call(rig)
        await rig.wait_for(call_id, EventType.SEGMENT, count=2)
        await nats.wipe()
        # As the operator does when it sees a new stream: the same attempt again.
        await rig.dispatch(call_id, objects.format_audio_key(COMPANY, call_id, "audio"))
        await waiting.wait_until(
            lambda: _count_ends(worker, call_id) == 1, 100, "the worker has ended the call"
        )
        analyzed = [
            stored.envelope
            async for stored in rig.bus.read_events(subjects.format_events_of_kind(Kind.CALL))
            if stored.envelope.type == EventType.ANALYZED
        ]

    assert len(analyzed) == 1
    rig.events.seen.append(analyzed[0])
    assert (await rig.read_transcript(call_id)).media.duration_seconds > CALL_SECONDS
    assert await rig.bus.pull_jobs(CallDispatch, Priority.STANDARD) == []


def _count_ends(worker: Worker, call_id: CallId) -> int:
    return sum(
        line.get("event") == "run ended" and line.get("call") == call_id
        for line in worker.read_log()
    )


async def test_a_worker_that_was_frozen_changes_nothing_when_it_wakes(rig: Rig) -> None:
    async with rig.worker("frozen", **_NARROW) as frozen:
        call_id = await _submit_long_call(rig)
        await rig.wait_for(call_id, EventType.SEGMENT, count=2)
        await frozen.process.pause()
        async with rig.worker("other"):
            await rig.wait_for(call_id, EventType.ANALYZED)
            transcript = await rig.read_transcript(call_id)
            frozen.process.resume()
            await waiting.wait_until(
                lambda: _count_ends(frozen, call_id) == 1, 100, "the frozen worker has ended too"
            )

    _assert_every_window_once(rig, call_id)
    assert len(rig.events.of(call_id, EventType.ANALYZED)) == 1
    assert await rig.read_transcript(call_id) == transcript


async def test_many_calls_at_once_all_end_well(rig: Rig) -> None:
    call = await testdata.fetch_beckett()
    async with rig.worker("a"), rig.worker("b"):
        calls = await asyncio.gather(*(rig.submit(call.path) for _ in range(20)))
        for call_id in calls:
            await rig.wait_for(call_id, EventType.ANALYZED)

    for call_id in calls:
        _assert_every_window_once(rig, call_id)
        assert len(rig.events.of(call_id, EventType.ANALYZED)) == 1
