"""`GET /api/events`: which kinds a client is shown."""

import uuid

import pytest
from parlance.api.events import routes
from parlance.api.http.errors import Refused
from parlance.api.identity.principal import Principal
from parlance.api.identity.scopes import Scope
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.ids import CompanySlug
from parlance.contracts.problems import Problem


def build_principal(*scopes: str) -> Principal:
    return Principal(uuid.UUID(int=0), CompanySlug("acme"), "key:x", frozenset(scopes))


READER = build_principal(Scope.CALLS_READ)


@pytest.mark.parametrize("principal", [READER, build_principal(Scope.ADMIN)])
def test_calls_are_shown_to_whoever_may_read_them(principal: Principal) -> None:
    assert routes.find_kinds(principal, "call") == {Kind.CALL}


def test_without_a_kind_all_is_shown_that_the_key_may_read() -> None:
    assert routes.find_kinds(READER, None) == {Kind.CALL}
    assert routes.find_kinds(build_principal(Scope.ADMIN), None) == {Kind.CALL, Kind.TICKET}


@pytest.mark.parametrize("wanted", ["sheet", "", "CALL", "calls"])
def test_a_kind_that_nothing_serves_is_wrong(wanted: str) -> None:
    with pytest.raises(Refused) as refusal:
        routes.find_kinds(READER, wanted)

    assert refusal.value.problem is Problem.VALIDATION_FAILED
    assert [error.pointer for error in refusal.value.errors] == ["/kind"]


def test_a_kind_that_the_key_may_not_read_is_refused() -> None:
    with pytest.raises(Refused) as refusal:
        routes.find_kinds(build_principal("tickets:read"), "call")

    assert refusal.value.problem is Problem.FORBIDDEN
