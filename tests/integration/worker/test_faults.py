"""What dies in the middle of a call, and that nothing is lost or done twice."""

import asyncio

import pytest
from parlance.contracts.bus.messages import (
    ControlAction,
    EventType,
    Started,
    parse_data,
)
from parlance.contracts.calls import Transcript
from parlance.contracts.ids import CallId

from devstack import nats_server, testdata, triton
from tests.integration.worker.conftest import Rig

pytestmark = pytest.mark.timeout(400)

CALL_SECONDS = 300.0
_NARROW = {"PARLANCE_WORKER_WINDOWS_PER_CALL": "2"}
"""Few windows on their way: there is a middle to kill things in."""


async def _submit_long_call(rig: Rig) -> CallId:
    call = await testdata.make_long_call(CALL_SECONDS)
    return await rig.submit(call.path)


async def _transcribe_undisturbed(rig: Rig) -> Transcript:
    async with rig.worker("undisturbed"):
        call_id = await _submit_long_call(rig)
        await rig.wait_for(call_id, EventType.ANALYZED)
    return await rig.read_transcript(call_id)


def _assert_every_window_once(rig: Rig, call_id: CallId) -> None:
    numbers = [window.window for window in rig.events.windows_of(call_id)]
    assert numbers == list(range(len(numbers)))


def _assert_same_words(transcript: Transcript, undisturbed: Transcript) -> None:
    """The same windows; the words of a few may differ, since the model's batches differ."""
    assert [s.spans for s in transcript.speech] == [s.spans for s in undisturbed.speech]
    ours = transcript.text.split()
    theirs = undisturbed.text.split()
    assert abs(len(ours) - len(theirs)) <= 0.03 * len(theirs)


async def test_a_killed_worker_is_followed_by_one_that_goes_on_where_it_was(rig: Rig) -> None:
    undisturbed = await _transcribe_undisturbed(rig)
    async with rig.worker("first", **_NARROW) as first:
        call_id = await _submit_long_call(rig)
        await rig.wait_for(call_id, EventType.SEGMENT, count=3)
        await first.process.kill()
        done = len(rig.events.windows_of(call_id))
    async with rig.worker("second"):
        await rig.wait_for(call_id, EventType.ANALYZED, timeout_seconds=90)

    _assert_every_window_once(rig, call_id)
    second = parse_data(rig.events.of(call_id, EventType.STARTED)[-1], Started)
    assert second.worker == "second"
    assert second.resumed_windows >= done
    _assert_same_words(await rig.read_transcript(call_id), undisturbed)


async def test_a_worker_that_is_told_to_stop_hands_its_call_over_at_once(rig: Rig) -> None:
    async with rig.worker("first", PARLANCE_WORKER_DRAIN_SECONDS="0", **_NARROW) as first:
        call_id = await _submit_long_call(rig)
        await rig.wait_for(call_id, EventType.SEGMENT, count=2)
        await first.process.stop()
    await rig.wait_for(call_id, EventType.RETRYING, timeout_seconds=5)
    async with rig.worker("second"):
        # Long before the ack wait of 30 s is over.
        await rig.wait_for(call_id, EventType.STARTED, count=2, timeout_seconds=10)
        await rig.wait_for(call_id, EventType.ANALYZED)

    _assert_every_window_once(rig, call_id)


async def test_a_model_server_that_is_killed_and_comes_back_costs_only_time(
    rig: Rig, triton_server: triton.TritonServer
) -> None:
    async with rig.worker("a", **_NARROW):
        call_id = await _submit_long_call(rig)
        await rig.wait_for(call_id, EventType.SEGMENT, count=2)
        await triton_server.process.kill()
        await triton_server.process.start()
        await rig.wait_for(call_id, EventType.ANALYZED, timeout_seconds=90)

    _assert_every_window_once(rig, call_id)
    assert len(rig.events.of(call_id, EventType.STARTED)) == 1
    assert rig.events.of(call_id, EventType.RETRYING) == []


async def test_a_bus_that_is_killed_and_comes_back_costs_only_time(
    rig: Rig, nats: nats_server.NatsServer
) -> None:
    async with rig.worker("a", **_NARROW):
        call_id = await _submit_long_call(rig)
        await rig.wait_for(call_id, EventType.SEGMENT, count=2)
        await nats.process.kill()
        await nats.process.start()
        await rig.wait_for(call_id, EventType.ANALYZED, timeout_seconds=90)

    _assert_every_window_once(rig, call_id)


async def test_cancelling_stops_the_work_within_one_window(rig: Rig) -> None:
    async with rig.worker("a", **_NARROW):
        call_id = await _submit_long_call(rig)
        await rig.wait_for(call_id, EventType.SEGMENT, count=2)

        await rig.bus.put_control(call_id, ControlAction.CANCEL)
        done = len(rig.events.windows_of(call_id))
        await rig.wait_for(call_id, EventType.CANCELLED, timeout_seconds=10)
        after = len(rig.events.windows_of(call_id))
        other = await rig.submit((await testdata.fetch_beckett()).path)
        await rig.wait_for(other, EventType.ANALYZED)

    assert after - done <= 1
    assert len(rig.events.windows_of(call_id)) == after
    assert rig.events.of(call_id, EventType.ANALYZED) == []


async def test_many_calls_at_once_all_end_well(rig: Rig) -> None:
    call = await testdata.fetch_beckett()
    async with rig.worker("a"), rig.worker("b"):
        calls = await asyncio.gather(*(rig.submit(call.path) for _ in range(20)))
        for call_id in calls:
            await rig.wait_for(call_id, EventType.ANALYZED)

    for call_id in calls:
        _assert_every_window_once(rig, call_id)
        assert len(rig.events.of(call_id, EventType.ANALYZED)) == 1
