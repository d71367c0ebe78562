"""Analysing a ticket again: what the next attempt is given, and where that lies."""

import pytest
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.tickets import reanalyzing
from parlance.api.http.errors import Refused
from parlance.api.identity.principal import Principal
from parlance.contracts.bus.tickets import TicketDispatch
from parlance.contracts.tickets import TicketState
from parlance.runtime.clock import ManualClock

from tests.integration.api_db import support as rows
from tests.integration.api_db.support import Parts, Tenant
from tests.integration.api_db.tickets import support


async def reanalyze(
    parts: Parts, company: Tenant, ticket: tables.Ticket, clock: ManualClock
) -> None:
    principal = Principal(company.id, company.slug, "key:test", frozenset({"tickets:write"}))
    await reanalyzing.reanalyze(parts.database, parts.store, clock, principal, ticket.id)


@pytest.mark.parametrize("texts", [support.TEXTS, support.LARGE_TEXTS])
async def test_the_next_attempt_has_the_whole_conversation(
    parts: Parts, acme: Tenant, clock: ManualClock, texts: tuple[str, ...]
) -> None:
    ticket = await support.add_ticket(
        parts.database, acme.id, texts=texts, state=TicketState.COMPLETED
    )
    await reanalyze(parts, acme, ticket, clock)

    async with parts.database.system_session() as session:
        [row] = (await session.scalars(sa.select(tables.OutboxRow))).all()
    dispatch = TicketDispatch.model_validate(row.payload)
    document = await support.read_document(parts.store, dispatch)
    assert (dispatch.attempt, document.attempt) == (2, 2)
    assert [message.text for message in document.messages] == list(texts)
    assert len(await rows.list_keys(parts)) == (texts == support.LARGE_TEXTS)


async def test_the_time_in_the_queue_begins_anew(
    parts: Parts, acme: Tenant, clock: ManualClock
) -> None:
    ticket = await support.add_ticket(parts.database, acme.id, state=TicketState.COMPLETED)
    before = clock.now()
    await support.change_ticket(
        parts.database, ticket.id, queued_at=before, started_at=before, completed_at=before
    )
    clock.advance(60)
    await reanalyze(parts, acme, ticket, clock)

    stored = await support.fetch_ticket(parts.database, ticket.id)
    assert (stored.state, stored.queued_at) == (TicketState.QUEUED, clock.now())
    assert (stored.started_at, stored.completed_at) == (None, None)


async def test_nothing_is_stored_for_a_request_that_is_refused(
    parts: Parts, acme: Tenant, clock: ManualClock
) -> None:
    ticket = await support.add_ticket(parts.database, acme.id, texts=support.LARGE_TEXTS)
    with pytest.raises(Refused):
        await reanalyze(parts, acme, ticket, clock)

    assert await rows.list_keys(parts) == []
    assert await rows.count_rows(parts.database, tables.OutboxRow) == 0
