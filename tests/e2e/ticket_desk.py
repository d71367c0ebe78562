"""A help desk on the running stack: a company of its own, whose tickets one test file makes."""

import contextlib
import dataclasses
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
from parlance.api.db import session
from parlance.api.domain.company.trackers import TrackerFiles
from parlance.api.identity.scopes import Scope
from parlance.api.settings import DatabaseSettings
from parlance.contracts.analysis.insights import TrackerRule
from parlance.runtime import store as store_module
from parlance.runtime.clock import SystemClock
from parlance.runtime.settings import StoreSettings
from pydantic import SecretStr

from devstack.stack import Stack
from tests.integration.api_web import support

Json = dict[str, Any]

PATH = "/api/tickets/upload"
TIME_ZONE = "Europe/Berlin"
TRACKER = TrackerRule(name="cancellation", phrases=("cancel my contract",))
WAIT_SECONDS = 30
PROBLEM_MEMBERS = {
    "type", "title", "status", "detail", "instance", "code", "retryable", "request_id", "errors",
}  # fmt: skip
NOTICE_MEMBERS = {"code", "detail"}
ERROR_MEMBERS = {"pointer", "code", "detail"}


@dataclasses.dataclass(frozen=True)
class Desk:
    """The API with a key of the company."""

    http: httpx.AsyncClient
    agent_id: str
    """Of the user with the extension `EXT-4`."""
    keys: dict[str, str]
    """Keys of other companies by what they may do: `calls`, `reads`."""

    async def send(self, body: object, **params: str | int) -> httpx.Response:
        return await self.http.post(PATH, json=body, params=params)

    async def send_without_key(self, body: object) -> httpx.Response:
        """Without one in the headers."""
        async with httpx.AsyncClient(base_url=self.http.base_url, trust_env=False) as http:
            return await http.post(PATH, json=body)

    async def create(self, body: Json) -> str:
        """Returns the id."""
        answer = await self.send(body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["ticket_id"])

    async def get(self, path: str, **params: str | int) -> httpx.Response:
        return await self.http.get(f"/api/tickets{path}", params=params)

    async def change(
        self, path: str, body: Json, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return await self.http.patch(f"/api/tickets/{path}", json=body, headers=headers)

    async def list_events(self, ticket_id: str, query: str = "") -> list[str]:
        """The names of the events until the server ends the stream."""
        answer = await self.http.get(f"/api/tickets/{ticket_id}/events{query}")
        assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
        lines = answer.text.splitlines()
        return [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]

    async def finish(self, ticket_id: str) -> Json:
        """The ticket once its analysis has ended."""
        answer = await self.get(f"/{ticket_id}", wait=WAIT_SECONDS)
        ticket: Json = answer.json()
        assert (answer.status_code, ticket["state"]) == (200, "completed"), answer.text
        return ticket


@contextlib.asynccontextmanager
async def open_desk(stack: Stack) -> AsyncIterator[Desk]:
    """Companies cannot be made over HTTP, so they are put into the database."""
    settings = DatabaseSettings(
        database_url=SecretStr(stack.environment["PARLANCE_DATABASE_URL"]),
    )
    store_settings = StoreSettings(store_url=stack.environment["PARLANCE_STORE_URL"])
    slug = f"desk-{uuid.uuid4().hex[:8]}"
    async with (
        session.open_database(settings) as database,
        store_module.open_store(store_settings) as store,
    ):
        account = await support.add_account(
            database, slug, time_zone=TIME_ZONE, trackers=[TRACKER.model_dump(mode="json")]
        )
        agent_id = await support.add_user(database, account, "EXT-4")
        callers = await support.add_account(
            database, f"{slug}-calls", Scope.CALLS_READ, Scope.CALLS_WRITE
        )
        readers = await support.add_account(database, f"{slug}-reads", Scope.TICKETS_READ)
        # The recorder does this every ten seconds; no test waits for it.
        await TrackerFiles(database, store, SystemClock()).run_pass()
    async with httpx.AsyncClient(
        base_url=stack.url,
        headers={"X-Api-Key": account.key},
        timeout=2 * WAIT_SECONDS,
        trust_env=False,
    ) as http:
        yield Desk(http, agent_id, {"calls": callers.key, "reads": readers.key})


def talk(*texts: str, **more: Any) -> Json:
    """A ticket in which customer and agent take turns."""
    roles = ("customer", "agent")
    messages = [{"role": roles[n % 2], "text": text} for n, text in enumerate(texts)]
    return {"messages": messages, **more}


def list_codes(notices: Sequence[Json]) -> list[str]:
    """Of warnings."""
    assert all(notice.keys() == NOTICE_MEMBERS for notice in notices)
    return [notice["code"] for notice in notices]


def require_accepted(answer: httpx.Response, outcome: str, *warnings: str, **members: Any) -> str:
    """The answer to one ticket has these members and no others. Returns the ticket's id."""
    message = {
        "created": "Ticket created and queued for analysis",
        "updated": "Ticket updated and queued for analysis",
        "unchanged": "Ticket unchanged",
    }
    body: Json = answer.json()
    assert answer.status_code == (201 if outcome == "created" else 200), body
    assert list_codes(body.pop("warnings", [])) == list(warnings)
    ticket_id = str(body.pop("ticket_id"))
    said = {"success": True, "message": message[outcome], "outcome": outcome}
    assert body == said | members
    location = f"/api/tickets/{ticket_id}" if outcome == "created" else None
    assert answer.headers.get("location") == location
    return ticket_id


def require_problem(
    answer: httpx.Response,
    status: int,
    code: str,
    errors: Sequence[tuple[str, str]] = (),
    **members: Any,
) -> None:
    """The answer is this problem, with these members beside the standard ones. `errors`: pointer
    and code of each wrong field."""
    body: Json = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), body
    assert answer.headers["content-type"] == "application/problem+json"
    standard = {name: body.pop(name) for name in PROBLEM_MEMBERS}
    assert body == members
    assert (standard["status"], standard["instance"]) == (status, answer.url.path)
    assert standard["request_id"] == answer.headers["x-request-id"]
    require_errors(standard["errors"], errors)


def require_errors(found: Sequence[Json], errors: Sequence[tuple[str, str]]) -> None:
    assert all(error.keys() == ERROR_MEMBERS for error in found)
    assert [(error["pointer"], error["code"]) for error in found] == list(errors)
