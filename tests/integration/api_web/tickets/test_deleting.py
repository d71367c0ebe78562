"""Tickets that are deleted or analysed again: what is left of the old."""

import asyncio

import httpx
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.bus.tickets import TicketDispatch
from parlance.contracts.calls import Priority
from parlance.runtime.bus import Bus
from sqlmodel import col

from devstack import waiting
from tests.integration.api_db.tickets import support as rows
from tests.integration.api_web import support
from tests.integration.api_web.support import Account, Api
from tests.integration.api_web.tickets import support as tickets


async def test_what_is_deleted_is_gone_for_good(
    api: Api, client: httpx.AsyncClient, acme: Account, api_bus: Bus
) -> None:
    ticket_id = await tickets.add(api, acme, external_id="Z-1")
    folder = api.objects / "acme" / "tickets" / ticket_id
    folder.mkdir(parents=True)
    (folder / "document-1-00.json").write_text("{}")
    path = f"/api/tickets/{ticket_id}"
    answers = [await client.delete(path, headers=support.authorize(acme)) for _ in range(2)]
    gone = await client.get(path, headers=support.authorize(acme))
    listed = await client.get("/api/tickets?external_id=Z-1", headers=support.authorize(acme))

    assert [answer.status_code for answer in answers] == [204, 204]
    assert (gone.status_code, support.problem_of(gone)) == (410, "gone")
    assert listed.json()["items"] == []
    await waiting.wait_until(lambda: not api.list_objects(), 10, "the objects are gone")
    assert await api_bus.get_control(ticket_id) is ControlAction.CANCEL
    query = sa.select(col(tables.AuditEntry.action)).order_by(col(tables.AuditEntry.id))
    async with api.database.system_session() as session:
        assert (await session.scalars(query)).all() == ["ticket.deleted"]
        deletion = await session.scalar(sa.select(tables.Deletion))
    assert deletion is not None
    assert (deletion.kind, str(deletion.subject_id)) == (Kind.TICKET, ticket_id)


async def find_job(bus: Bus, ticket_id: str) -> TicketDispatch:
    """Takes those of other tests too: they share one NATS."""
    async with asyncio.timeout(20):
        while True:
            jobs = await bus.pull_jobs(TicketDispatch, Priority.STANDARD, batch=50, wait_seconds=5)
            for delivery in jobs:
                await delivery.ack()
            for delivery in jobs:
                if delivery.value.ticket_id == ticket_id:
                    return delivery.value


OLD_FINDINGS = ("sentiment=positive", "tracker=refund")


async def test_an_analysis_is_asked_for_again_once_the_last_one_has_ended(
    api: Api, client: httpx.AsyncClient, acme: Account, api_bus: Bus
) -> None:
    ticket_id = await tickets.add(api, acme)
    path = f"/api/tickets/{ticket_id}/reanalyze"
    early = await client.post(path, headers=support.authorize(acme))
    await tickets.complete(api, acme, ticket_id)
    answer = await client.post(path, headers=support.authorize(acme))
    again = await client.post(path, headers=support.authorize(acme))
    insights = await tickets.get(client, acme, f"/{ticket_id}/insights")
    found = [(await tickets.get(client, acme, f"?{by}")).json()["items"] for by in OLD_FINDINGS]
    job = await find_job(api_bus, ticket_id)

    assert support.problem_of(early) == support.problem_of(again) == "not_ready"
    assert early.headers["retry-after"]
    assert answer.status_code == 202
    assert (answer.json()["state"], answer.json()["attempt"]) == ("queued", 2)
    assert insights.status_code == 409
    assert found == [[], []]
    assert answer.json()["summary"] is None
    assert job.attempt == 2
    assert job.document.content is not None
    assert rows.TEXTS[0] in job.document.content
