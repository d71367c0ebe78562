"""Lookups of foreign names: bounded, in order, and nobody's whose caller went away."""

import asyncio
import socket
import threading

import pytest
from parlance.runtime.lookups import Lookups


class SlowNames:
    """Answers when told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.may_answer = threading.Event()

    def ask(self, name: str, port: int) -> list[str]:
        self.asked.append(name)
        self.may_answer.wait(30)
        return [f"{name}:{port}"]


async def until(count: int, names: SlowNames) -> None:
    async with asyncio.timeout(10):
        while len(names.asked) < count:
            await asyncio.sleep(0.002)


async def test_the_system_knows_this_machine() -> None:
    assert set(await Lookups().find("localhost", 80)) <= {"127.0.0.1", "::1"}


async def test_what_the_system_refuses_is_raised() -> None:
    with pytest.raises(socket.gaierror):
        await Lookups().find("no-such-host.invalid", 80)


async def test_more_than_the_limit_wait_and_a_caller_who_leaves_frees_no_place() -> None:
    names = SlowNames()
    lookups = Lookups(names.ask, limit=2)
    waiting = [asyncio.create_task(lookups.find(name, 80)) for name in ("a", "b", "c")]
    await until(2, names)
    waiting[0].cancel()
    await asyncio.sleep(0.05)
    assert sorted(names.asked) == ["a", "b"]

    names.may_answer.set()

    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [["b:80"], ["c:80"]]
