"""What one company really has is not there for another: every route with an id."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from litestar.routes import HTTPRoute
from parlance.runtime.bus import Bus

from tests.integration.api_web import support
from tests.integration.api_web.support import Account, Api
from tests.integration.api_web.test_reading import completed
from tests.integration.api_web.tickets import support as tickets_support
from tests.unit.api import applications

READS = [
    ("GET", "/api/calls/{call_id}"),
    ("GET", "/api/calls/{call_id}?wait=1"),
    ("GET", "/api/calls/{call_id}/transcript"),
    ("GET", "/api/calls/{call_id}/transcript?format=txt"),
    ("GET", "/api/calls/{call_id}/insights"),
    ("GET", "/api/calls/{call_id}/audio"),
    ("GET", "/api/calls/{call_id}/events"),
    ("GET", "/api/calls/{call_id}/events?from=0"),
    ("GET", "/api/tickets/{ticket_id}"),
    ("GET", "/api/tickets/{ticket_id}?wait=1"),
    ("GET", "/api/tickets/{ticket_id}/insights"),
    ("GET", "/api/tickets/{ticket_id}/events"),
    ("GET", "/api/tickets/{ticket_id}/events?from=0"),
]
WRITES = [
    ("POST", "/api/calls/{call_id}/cancel"),
    ("DELETE", "/api/calls/{call_id}"),
    ("PATCH", "/api/tickets/{ticket_id}"),
    ("POST", "/api/tickets/{ticket_id}/reanalyze"),
    ("DELETE", "/api/tickets/{ticket_id}"),
]
NOBODYS = "00000000-0000-7000-8000-000000000000"


@dataclass(frozen=True)
class Theirs:
    """A company with a call and a ticket that have ended, with all that they can have, and with a
    call and a ticket that wait."""

    account: Account
    ended: str
    waiting: str
    ended_ticket: str
    waiting_ticket: str

    def list_ids(self, operation: tuple[str, str]) -> list[str]:
        """Of what the operation is about: first the one that has ended."""
        if "{ticket_id}" in operation[1]:
            return [self.ended_ticket, self.waiting_ticket]
        return [self.ended, self.waiting]


@pytest.fixture
async def globex(api: Api, client: httpx.AsyncClient, api_bus: Bus) -> Theirs:
    account = await support.add_account(api.database, "globex")
    ended, waiting = [await _upload(client, account, seed) for seed in (1, 2)]
    await support.complete(api.database, account, ended)
    await api_bus.publish_event(completed(ended).model_copy(update={"company": "globex"}))
    tickets = [await tickets_support.add(api, account) for _ in range(2)]
    await tickets_support.complete(api, account, tickets[0])
    end = tickets_support.build_event(tickets[0], tickets_support.COMPLETED)
    await api_bus.publish_event(end.model_copy(update={"company": "globex"}))
    return Theirs(account, ended, waiting, *tickets)


async def _upload(client: httpx.AsyncClient, account: Account, seed: int) -> str:
    created = await client.post(
        "/api/add-calls",
        data={"api_key": account.key, "customer_name": "Their customer"},
        files={"call": ("theirs.wav", support.make_wav(seed=seed))},
    )
    assert created.status_code == 201, created.text
    return str(created.json()["call_id"])


async def _ask(
    client: httpx.AsyncClient, account: Account, operation: tuple[str, str], id_: str
) -> httpx.Response:
    method, path = operation
    return await client.request(
        method,
        path.format(call_id=id_, ticket_id=id_),
        headers=support.authorize(account),
        json={"subject": "Ours"} if method == "PATCH" else None,
    )


def _drop_what_names_the_request(response: httpx.Response, call_id: str) -> dict[str, Any]:
    problem: dict[str, Any] = response.json()
    assert call_id in problem.pop("instance")
    del problem["request_id"]
    return problem


def test_every_route_with_an_id_is_asked_here() -> None:
    routes = {
        (method, route.path_format)
        for route in applications.build_app().routes
        if isinstance(route, HTTPRoute) and not route.path.startswith("/api/docs")
        if "{" in route.path_format
        for method in route.methods
        if method != "OPTIONS"
    }

    assert {(method, path.partition("?")[0]) for method, path in READS + WRITES} == routes


@pytest.mark.parametrize("operation", READS + WRITES, ids=" ".join)
async def test_what_is_there_for_its_company_is_for_another_as_if_nobody_had_it(
    client: httpx.AsyncClient, acme: Account, globex: Theirs, operation: tuple[str, str]
) -> None:
    nobodys = await _ask(client, acme, operation, NOBODYS)
    for call_id in globex.list_ids(operation):
        foreign = await _ask(client, acme, operation, call_id)

        assert (foreign.status_code, support.problem_of(foreign)) == (404, "not_found")
        assert _drop_what_names_the_request(foreign, call_id) == _drop_what_names_the_request(
            nobodys, NOBODYS
        )
        assert foreign.headers.keys() == nobodys.headers.keys()


@pytest.mark.parametrize("operation", READS, ids=" ".join)
async def test_its_own_company_reads_it(
    client: httpx.AsyncClient, globex: Theirs, operation: tuple[str, str]
) -> None:
    """Without which a 404 for another company would prove nothing."""
    own = await _ask(client, globex.account, operation, globex.list_ids(operation)[0])

    assert own.status_code == 200


async def test_what_another_company_has_cannot_be_changed(
    api: Api, client: httpx.AsyncClient, acme: Account, globex: Theirs, api_bus: Bus
) -> None:
    async def take_stock() -> tuple[Any, ...]:
        things = [
            (await _ask(client, globex.account, read, id_)).json()
            for read in (("GET", "/api/calls/{call_id}"), ("GET", "/api/tickets/{ticket_id}"))
            for id_ in globex.list_ids(read)
        ]
        return things, await support.count_rows(api.database), api.list_objects()

    before = await take_stock()
    for operation in WRITES:
        for call_id in globex.list_ids(operation):
            assert (await _ask(client, acme, operation, call_id)).status_code == 404

    assert await take_stock() == before
    for id_ in (globex.waiting, globex.waiting_ticket):
        assert await api_bus.get_control(id_) is None


@pytest.mark.parametrize("path", ["/api/calls", "/api/tickets"])
async def test_a_list_shows_nothing_of_another_company(
    client: httpx.AsyncClient, acme: Account, globex: Theirs, path: str
) -> None:
    theirs = await client.get(path, headers=support.authorize(globex.account))
    ours = await client.get(path, headers=support.authorize(acme))

    assert len(theirs.json()["items"]) == 2
    assert ours.json()["items"] == []
