"""How many bodies are read at once, and how long they may be."""

import asyncio
import contextlib
import dataclasses
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

    def __init__(self, data: bytes, known: Principal | None) -> None:
        self.headers = {"Content-Type": "application/json"}
        self.scope = {"state": {"principal": known} if known else {}}
        self._data = data

    async def stream(self) -> AsyncIterator[bytes]:
        for first in range(0, len(self._data), 1 << 20):
            yield self._data[first : first + (1 << 20)]


def build_principal() -> Principal:
    return Principal(ids.new_uuid7(), ids.CompanySlug("acme"), "key:x", frozenset())


def build_bodies(**limits: int) -> Bodies:
    few = BodyLimits(
        long=1, long_wait_seconds=0.01, unkeyed=2, unkeyed_long=1, unkeyed_wait_seconds=0.01
    )
    return Bodies(dataclasses.replace(few, **limits))  # type: ignore[arg-type]  # whole numbers all


def ask(size_bytes: int, *, is_known: bool) -> Any:
    return Asked(b" " * size_bytes, build_principal() if is_known else None)


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


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_company_leaves_places_to_others(is_known: bool) -> None:
    bodies = build_bodies(long=2, long_of_company=1, unkeyed_long=2)
    acme, globex = build_principal(), build_principal()

    async with contextlib.AsyncExitStack() as stack:

        async def read(principal: Principal) -> None:
            asked: Any = Asked(b" " * LONG, principal if is_known else None)
            body = await stack.enter_async_context(bodies.open(asked))
            await body.note_key(principal)

        await read(acme)
        with pytest.raises(Refused) as caught:
            await read(acme)
        await read(globex)

    assert caught.value.problem is Problem.RATE_LIMITED
    async with bodies.open(Asked(b" " * LONG, acme)):  # type: ignore[arg-type]  # what is looked at
        pass  # it is free again


@pytest.mark.parametrize(
    ("data", "is_known", "name"),
    [
        (b"[],", True, "max_brackets"),
        (b"{},", False, "max_brackets"),
        (b"0,", True, "max_commas"),
        (b"0,", False, "max_commas"),
    ],
)
async def test_a_body_of_too_many_parts_is_refused_before_it_is_parsed(
    data: bytes, is_known: bool, name: str
) -> None:
    limit = getattr(bounds, name.upper() if is_known else name.upper().replace("X", "X_UNKEYED"))
    asked: Any = Asked(data * (limit + 1), build_principal() if is_known else None)
    async with build_bodies().open(asked) as body:
        with pytest.raises(Refused) as caught:
            body.parse()

    assert caught.value.problem is Problem.TOO_LARGE
    assert caught.value.members == {name: limit}


async def test_strangers_are_counted_until_their_key_is_known() -> None:
    bodies = build_bodies()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(4):
            body = await stack.enter_async_context(bodies.open(ask(10, is_known=False)))
            await body.note_key(build_principal())
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
