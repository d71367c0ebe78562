"""Analysing a ticket again: the same conversation, with the trackers and analysers of now."""

import uuid

from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.domain.tickets import attempts, contents, dispatching, queries
from parlance.api.domain.tickets.locking import lock_ticket
from parlance.api.http.errors import Refused
from parlance.api.identity.principal import Principal
from parlance.api.outbox import rows as outbox
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.problems import Problem
from parlance.runtime.clock import Clock
from parlance.runtime.store import Store

_RETRY_SECONDS = 2


async def reanalyze(
    database: Database, store: Store, clock: Clock, principal: Principal, ticket_id: uuid.UUID
) -> None:
    """Begin the next attempt. Raises Refused when there is no such ticket or its last analysis has
    not ended, StoreUnavailable, DatabaseUnavailable.

    A large document is in the store before the commit, as at an upload: a commit means that the
    work can be done. It is put while the row is locked, so that nothing is put for a request that
    is refused.
    """
    company_id = principal.company_id
    async with database.company_session(company_id) as session:
        ticket = await lock_ticket(session, company_id, ticket_id)
        if ticket is None:
            raise await queries.refuse_missing(session, company_id, ticket_id)
        content = await queries.fetch_content(session, company_id, ticket_id)
        if content is None or not ticket.state.is_terminal:
            raise _refuse()
        now = clock.now()
        attempts.begin(ticket, now)
        document = contents.build_document(ticket, principal.company_slug, content.messages)
        await document.put(store)
        await outbox.withdraw(session, company_id, Kind.TICKET, ticket_id)
        work = dispatching.build_work(ticket, principal.company_slug, document.carried, at=now)
        await outbox.add_many(session, company_id, Kind.TICKET, [work])
        session.add(
            tables.AuditEntry(
                company_id=company_id,
                actor=principal.actor,
                action="ticket.reanalyzed",
                subject=str(ticket_id),
                detail={"attempt": ticket.attempt},
            )
        )


def _refuse() -> Refused:
    return Refused(
        Problem.NOT_READY,
        "The last analysis of the ticket has not ended yet.",
        headers={"Retry-After": str(_RETRY_SECONDS)},
    )
