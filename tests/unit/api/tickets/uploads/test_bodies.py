"""How many bodies are read at once, and how long they may be."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from parlance.api.domain.tickets.input import bounds
from parlance.api.domain.tickets.uploads.bodies import Bodies, BodyLimits
from parlance.api.http.errors import Refused
from parlance.api.identity.principal import Principal
from parlance.contracts import ids
from parlance.contracts.problems import Problem

LONG = bounds.MAX_UNKEYED_BODY_BYTES + 1


class Asked:
    """A request, as far as it is looked at."""

    def __init__(self, size_bytes: int, *, is_known: bool) -> None:
        self.headers = {"Content-Type": "application/json"}
        company = ids.new_uuid7()
        known = Principal(company, ids.CompanySlug("acme"), "key:x", frozenset())
        self.scope = {"state": {"principal": known} if is_known else {}}
        self._size_bytes = size_bytes

    async def stream(self) -> AsyncIterator[bytes]:
        for first in range(0, self._size_bytes, 1 << 20):
            yield b" " * min(1 << 20, self._size_bytes - first)


def build_bodies() -> Bodies:
    limits = BodyLimits(
        long=1, long_wait_seconds=0.01, unkeyed=2, unkeyed_long=1, unkeyed_wait_seconds=0.01
    )
    return Bodies(limits)


def ask(size_bytes: int, *, is_known: bool) -> Any:
    return Asked(size_bytes, is_known=is_known)


async def test_a_body_is_read_whole() -> None:
    async with build_bodies().open(ask(3_000_000, is_known=True)) as body:
        assert len(body.data) == 3_000_000


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_long_body_waits_for_a_place_of_its_group(is_known: bool) -> None:
    bodies = build_bodies()
    async with bodies.open(ask(LONG, is_known=is_known)):
        with pytest.raises(Refused) as caught:
            async with bodies.open(ask(LONG, is_known=is_known)):
                pass
        async with bodies.open(ask(LONG, is_known=not is_known)):
            pass

    assert caught.value.problem is Problem.UNAVAILABLE
    assert "Retry-After" in caught.value.headers
    async with bodies.open(ask(LONG, is_known=is_known)):
        pass  # it is free again


async def test_strangers_are_counted_until_their_key_is_known() -> None:
    bodies = build_bodies()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            body = await stack.enter_async_context(bodies.open(ask(10, is_known=False)))
            body.note_key()
        for _ in range(2):
            await stack.enter_async_context(bodies.open(ask(10, is_known=False)))
        with pytest.raises(Refused) as caught:
            await stack.enter_async_context(bodies.open(ask(10, is_known=False)))
        await stack.enter_async_context(bodies.open(ask(10, is_known=True)))

    assert caught.value.problem is Problem.UNAVAILABLE


async def test_a_body_that_is_too_long_is_not_read_to_its_end() -> None:
    asked = ask(bounds.MAX_BODY_BYTES + 1, is_known=True)
    with pytest.raises(Refused) as caught:
        async with asyncio.timeout(10), build_bodies().open(asked):
            pass

    assert caught.value.problem is Problem.TOO_LARGE
    assert caught.value.members == {"max_bytes": bounds.MAX_BODY_BYTES}
