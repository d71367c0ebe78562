"""Analysing a ticket again: the same conversation, with the trackers and analysers of now."""

import uuid

from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.domain.tickets import contents, dispatching, queries
from parlance.api.domain.tickets.locking import lock_ticket
from parlance.api.http.errors import Refused
from parlance.api.identity.principal import Principal
from parlance.api.outbox import rows as outbox
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.problems import Problem
from parlance.contracts.tickets import TicketState
from parlance.runtime.clock import Clock
from parlance.runtime.store import Store

_RETRY_SECONDS = 2


async def reanalyze(
    database: Database, store: Store, clock: Clock, principal: Principal, ticket_id: uuid.UUID
) -> None:
    """Begin the next attempt. Raises Refused when there is no such ticket or its last analysis has
    not ended, StoreUnavailable, DatabaseUnavailable.

    The document is in the store before the commit, as at an upload: a commit means that the work
    can be done.
    """
    company_id = principal.company_id
    async with database.company_session(company_id) as session:
        ticket = (await queries.fetch_ticket(session, company_id, ticket_id)).ticket
        content = await queries.fetch_content(session, company_id, ticket_id)
    if content is None or not ticket.state.is_terminal:
        raise _refuse()
    before = (ticket.attempt, ticket.revision)
    begin_attempt(ticket)  # of this copy, for the document
    document = contents.build_document(ticket, principal.company_slug, content.messages)
    await store.put_bytes(document.key, document.data)
    async with database.company_session(company_id) as session:
        current = await lock_ticket(session, company_id, ticket_id)
        if current is None:
            raise await queries.refuse_missing(session, company_id, ticket_id)
        if (current.attempt, current.revision) != before:
            raise _refuse()  # somebody else was faster, and the document may be outdated
        begin_attempt(current)
        now = clock.now()
        current.updated_at = now
        await outbox.withdraw(session, company_id, Kind.TICKET, ticket_id)
        dispatching.add(
            session,
            current,
            principal.company_slug,
            object_key=document.key,
            sha256=document.sha256,
            at=now,
        )
        session.add(
            tables.AuditEntry(
                company_id=company_id,
                actor=principal.actor,
                action="ticket.reanalyzed",
                subject=str(ticket_id),
                detail={"attempt": current.attempt},
            )
        )


def begin_attempt(ticket: tables.Ticket) -> None:
    """The next analysis: what is known of the last one's course is not true of this one."""
    ticket.attempt += 1
    ticket.state = TicketState.QUEUED
    ticket.queued_at = ticket.started_at = ticket.completed_at = None
    ticket.error_code = ticket.error_message = ticket.error_reason = None
    ticket.error_retryable = None


def _refuse() -> Refused:
    return Refused(
        Problem.NOT_READY,
        "The last analysis of the ticket has not ended yet.",
        headers={"Retry-After": str(_RETRY_SECONDS)},
    )
