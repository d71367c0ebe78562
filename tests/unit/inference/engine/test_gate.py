import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from parlance.contracts.calls import Priority
from parlance.inference.engine.gate import Gate

HIGH, STANDARD, BULK = Priority.INTERACTIVE, Priority.STANDARD, Priority.BULK


class _Queue:
    """Requests before a gate whose places are all taken, in the order in which they came."""

    def __init__(self, places: int = 1) -> None:
        self.gate = Gate(places)
        self.entered: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    def come(self, name: str, priority: Priority) -> asyncio.Task[None]:
        task = asyncio.create_task(self._pass(name, priority))
        self._tasks.append(task)
        return task

    async def _pass(self, name: str, priority: Priority) -> None:
        async with self.gate.place(priority):
            self.entered.append(name)
            await asyncio.sleep(0)

    async def finish(self) -> list[str]:
        async with asyncio.timeout(5):
            await asyncio.gather(*self._tasks, return_exceptions=True)
        return self.entered


@pytest.mark.parametrize(
    ("arrivals", "entered"),
    [
        ([], []),
        ([BULK, BULK, BULK], [0, 1, 2]),
        ([BULK, STANDARD, HIGH], [2, 1, 0]),
        ([BULK, BULK, HIGH, HIGH], [2, 3, 0, 1]),
        ([STANDARD, HIGH, STANDARD, HIGH], [1, 0, 3, 2]),
        # Of twelve turns the second is the first of three standard ones, the fifth the bulk one.
        ([BULK, STANDARD, *[HIGH] * 8], [2, 1, 3, 4, 0, 5, 6, 7, 8, 9]),
    ],
)
async def test_who_waits_is_let_in_by_priority_then_in_order(
    arrivals: Sequence[Priority], entered: Sequence[int]
) -> None:
    queue = _Queue()
    async with queue.gate.place(BULK):
        for number, priority in enumerate(arrivals):
            queue.come(str(number), priority)
        await asyncio.sleep(0)

    assert await queue.finish() == [str(number) for number in entered]


async def test_nobody_waits_for_ever_however_much_goes_ahead() -> None:
    queue = _Queue()
    async with queue.gate.place(BULK):
        for priority in (BULK, STANDARD, HIGH):
            for number in range(24):
                queue.come(f"{priority} {number}", priority)
        await asyncio.sleep(0)

    first = Counter(name.split()[0] for name in (await queue.finish())[:24])
    assert first == {HIGH: 16, STANDARD: 6, BULK: 2}


async def test_no_more_are_inside_than_there_are_places() -> None:
    queue, inside, most = _Queue(places=3), 0, 0

    async def enter() -> None:
        nonlocal inside, most
        async with queue.gate.place(STANDARD):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(enter() for _ in range(20)))

    assert most == 3


@pytest.mark.parametrize("is_let_in_just_then", [False, True])
async def test_who_stops_waiting_leaves_no_hole(is_let_in_just_then: bool) -> None:
    queue = _Queue()
    async with queue.gate.place(STANDARD):
        leaving = queue.come("leaving", HIGH)
        queue.come("next", STANDARD)
        await asyncio.sleep(0)
        if not is_let_in_just_then:
            leaving.cancel()
            await asyncio.sleep(0)
    leaving.cancel()  # the place was given to it, and it has not run since

    assert await queue.finish() == ["next"]
    async with asyncio.timeout(5), queue.gate.place(BULK):
        pass


async def test_a_request_that_fails_gives_its_place_back() -> None:
    gate = Gate(1)
    with pytest.raises(RuntimeError):
        async with gate.place(STANDARD):
            raise RuntimeError

    async with asyncio.timeout(5), gate.place(BULK):
        pass
