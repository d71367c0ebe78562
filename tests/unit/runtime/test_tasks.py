"""The end of tasks, also of those that overhear the first cancellation."""

import asyncio

from parlance.runtime import tasks


async def sleep_for_ever() -> None:
    await asyncio.sleep(1_000_000)


async def overhear_once() -> None:
    try:
        await sleep_for_ever()
    except asyncio.CancelledError:
        await sleep_for_ever()


async def fail() -> None:
    raise ValueError("a fault of its own")


async def test_all_have_ended_whatever_they_do() -> None:
    running = [asyncio.create_task(each()) for each in (sleep_for_ever, overhear_once, fail)]
    await asyncio.sleep(0)

    await tasks.end(*running, again_seconds=0.01)

    assert [task.done() for task in running] == [True] * 3


async def test_nothing_to_end_is_fine() -> None:
    await tasks.end()
