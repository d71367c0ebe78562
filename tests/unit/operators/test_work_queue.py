"""The keyed queue."""

import asyncio
import itertools

import pytest
from parlance.operator.work_queue import Key, WorkQueue
from parlance.runtime.clock import ManualClock

A, B = Key("ns", "a"), Key("ns", "b")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def queue(clock: ManualClock) -> WorkQueue:
    return WorkQueue(clock)


async def test_key_waits_once(queue: WorkQueue) -> None:
    for key in (A, B, A):
        queue.add(key)

    assert [await queue.take(), await queue.take()] == [A, B]
    assert len(queue) == 0


async def test_key_in_work_is_not_handed_out_but_runs_again_afterwards(queue: WorkQueue) -> None:
    queue.add(A)
    await queue.take()
    queue.add(A)
    queue.add(A)

    assert len(queue) == 0
    queue.done(A)
    assert await queue.take() == A
    queue.done(A)
    assert len(queue) == 0


async def test_delayed_key_comes_when_due_and_the_earliest_wish_counts(
    queue: WorkQueue, clock: ManualClock
) -> None:
    queue.add_later(A, 30)
    queue.add_later(A, 10)
    queue.add_later(A, 20)
    queue.add(B)

    assert await queue.take() == B
    clock.advance(10)
    assert await queue.take() == A
    queue.done(A)
    clock.advance(60)
    queue.add(B)
    queue.done(B)
    assert await queue.take() == B


async def test_failing_key_pauses_longer_each_time_until_it_is_well(queue: WorkQueue) -> None:
    pauses = [queue.retry(A) for _ in range(9)]
    queue.forget(A)

    assert 0.5 <= pauses[0] <= 0.65
    assert all(earlier < later * 1.31 for earlier, later in itertools.pairwise(pauses))
    assert 30 <= pauses[-1] <= 39
    assert queue.retry(A) <= 0.65


async def test_server_may_ask_for_a_longer_pause(queue: WorkQueue) -> None:
    assert queue.retry(A, at_least_seconds=20) >= 20


async def test_closing_frees_whoever_waits(queue: WorkQueue) -> None:
    takers = [asyncio.create_task(queue.take()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.close()

    assert await asyncio.gather(*takers) == [None, None, None]
    queue.add(A)
    assert await queue.take() is None


async def test_many_takers_share_the_keys(queue: WorkQueue) -> None:
    takers = [asyncio.create_task(queue.take()) for _ in range(4)]
    await asyncio.sleep(0)
    keys = {Key("ns", str(number)) for number in range(4)}
    for key in keys:
        queue.add(key)

    assert set(await asyncio.gather(*takers)) == keys
