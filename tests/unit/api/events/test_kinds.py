"""`GET /api/events`: which kinds a client is shown, and for how long."""

import uuid
from collections.abc import Collection
from typing import Any

import pytest
from parlance.api.events import routes
from parlance.api.events.routes import Streams
from parlance.api.http.errors import Refused
from parlance.api.identity.guard import Gate, IsAdmitted
from parlance.api.identity.keys import InvalidKey
from parlance.api.identity.principal import Principal
from parlance.api.identity.scopes import READ_SCOPE_OF, Scope
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.ids import CompanySlug
from parlance.contracts.problems import Problem


def build_principal(*scopes: str) -> Principal:
    return Principal(uuid.UUID(int=0), CompanySlug("acme"), "key:x", frozenset(scopes))


READER = build_principal(Scope.CALLS_READ)


@pytest.mark.parametrize("principal", [READER, build_principal(Scope.ADMIN)])
@pytest.mark.parametrize("wanted", [None, "call"])
def test_calls_are_shown_to_whoever_may_read_them(principal: Principal, wanted: str | None) -> None:
    assert routes.find_kinds(principal, wanted) == {Kind.CALL}


@pytest.mark.parametrize("wanted", ["ticket", "", "CALL", "calls"])
def test_a_kind_that_nothing_serves_is_wrong(wanted: str) -> None:
    with pytest.raises(Refused) as refusal:
        routes.find_kinds(READER, wanted)

    assert refusal.value.problem is Problem.VALIDATION_FAILED
    assert [error.pointer for error in refusal.value.errors] == ["/kind"]


def test_a_kind_that_the_key_may_not_read_is_refused() -> None:
    with pytest.raises(Refused) as refusal:
        routes.find_kinds(build_principal("tickets:read"), "call")

    assert refusal.value.problem is Problem.FORBIDDEN


class Keys:
    """One key, whose owner may be given other scopes; None when it is revoked."""

    def __init__(self, principal: Principal | None) -> None:
        self.principal = principal

    async def verify_key(self, text: str) -> Principal:
        if self.principal is None:
            raise InvalidKey
        return self.principal


@pytest.mark.parametrize(
    ("left", "is_shown"),
    [
        (build_principal(Scope.CALLS_READ, "tickets:read"), True),
        (build_principal(Scope.ADMIN), True),
        (build_principal(Scope.CALLS_READ), False),
        (build_principal("tickets:read"), False),
        (build_principal(), False),
        (None, False),
    ],
)
async def test_kinds_are_shown_as_long_as_the_key_may_read_all_of_them(
    monkeypatch: pytest.MonkeyPatch, left: Principal | None, is_shown: bool
) -> None:
    # A second kind with a scope of its own, as an area of tickets would add it.
    monkeypatch.setitem(READ_SCOPE_OF, Kind.TICKET, "tickets:read")
    keys: Any = Keys(build_principal(Scope.CALLS_READ, "tickets:read"))
    is_admitted = Gate(keys).build_question("pk_x", {Kind.CALL, Kind.TICKET})
    assert await is_admitted()
    keys.principal = left

    assert await is_admitted() is is_shown


class Request:
    headers: dict[str, str] = {}  # noqa: RUF012 - nothing writes to it


class LiveHub:
    async def wait_live(self, timeout_seconds: float) -> None:
        """It is."""


class AskingGate:
    """Notes for which kinds it is to ask again."""

    def __init__(self) -> None:
        self.asked: list[frozenset[Kind]] = []

    def keep_asking(self, request: object, kinds: Collection[Kind]) -> IsAdmitted:
        async def is_admitted() -> bool:
            return True

        self.asked.append(frozenset(kinds))
        return is_admitted


@pytest.mark.parametrize(
    ("wanted", "asked"), [(None, {Kind.CALL, Kind.TICKET}), ("call", {Kind.CALL})]
)
async def test_a_stream_asks_again_for_the_kinds_that_it_shows(
    monkeypatch: pytest.MonkeyPatch, wanted: str | None, asked: set[Kind]
) -> None:
    monkeypatch.setitem(READ_SCOPE_OF, Kind.TICKET, "tickets:read")
    follow: Any = routes.follow_company.fn
    gate: Any = AskingGate()
    hub: Any = LiveHub()
    reader = build_principal(Scope.CALLS_READ, "tickets:read")

    await follow(Request(), Streams(hub, gate), reader, wanted)

    assert gate.asked == [asked]
