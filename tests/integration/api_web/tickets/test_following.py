"""The event streams of one ticket and of all tickets of a company."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
from parlance.runtime.bus import Bus

from devstack import waiting
from tests.integration.api_web import support
from tests.integration.api_web.support import Account, Api
from tests.integration.api_web.tickets import support as tickets


async def read_stream(client: httpx.AsyncClient, account: Account, path: str) -> list[str]:
    """The types of what comes until the stream ends."""
    async with asyncio.timeout(20):
        answer = await client.get(f"/api/tickets{path}", headers=support.authorize(account))
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.text.splitlines()
    return [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]


async def test_a_stream_goes_on_after_the_end_of_an_older_analysis(
    api: Api, client: httpx.AsyncClient, acme: Account, api_bus: Bus
) -> None:
    ticket_id = await tickets.add(api, acme, attempt=2)
    sequences = [
        await api_bus.publish_event(tickets.build_event(ticket_id, data, attempt))
        for attempt in (1, 2)
        for data in (tickets.QUEUED, tickets.COMPLETED)
    ]
    await tickets.complete(api, acme, ticket_id)
    types = await read_stream(client, acme, f"/{ticket_id}/events?from=0")
    behind_old_end = await read_stream(client, acme, f"/{ticket_id}/events?from={sequences[1]}")
    at_end = await tickets.get(client, acme, f"/{ticket_id}/events?from={sequences[3]}")

    assert types == ["ticket.queued", "ticket.completed"] * 2
    assert behind_old_end == ["ticket.queued", "ticket.completed"]
    assert at_end.status_code == 204


async def test_a_ticket_whose_events_are_gone_still_ends(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    ticket_id = await tickets.add(api, acme)
    await tickets.complete(api, acme, ticket_id)

    assert await read_stream(client, acme, f"/{ticket_id}/events") == [
        "snapshot",
        "ticket.completed",
    ]


async def _until_data(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if line.startswith("data: "):
            return


async def test_the_stream_of_a_company_shows_its_tickets(
    api: Api, client: httpx.AsyncClient, acme: Account, api_bus: Bus
) -> None:
    ticket_id = await tickets.add(api, acme)
    event = tickets.build_event(ticket_id, tickets.QUEUED)
    path = "/api/events?kind=ticket"
    async with client.stream("GET", path, headers=support.authorize(acme)) as stream:
        lines = stream.aiter_lines()
        await waiting.wait_until(lambda: (support.count_listeners() or 0) > 0, 10, "it listens")
        await api_bus.publish_event(event)
        async with asyncio.timeout(10):
            found = [line async for line in _until_data(lines)]

    assert json.loads(found[-1].removeprefix("data: "))["subject"] == ticket_id
