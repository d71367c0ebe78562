"""Deleting a ticket: its rows at once, and then its work, its objects and its events.

`delete_ticket` runs in the transaction of the request; `outbox.deletions` calls `TicketDeletions`.
"""

import uuid

from parlance.api.db import tables
from parlance.api.domain.tickets.locking import lock_ticket
from parlance.api.outbox import deletions
from parlance.api.outbox.deletions import Target
from parlance.contracts import ids, objects
from parlance.contracts.bus import subjects
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.bus.subjects import Kind
from parlance.runtime.bus import Bus
from parlance.runtime.store import Store
from sqlalchemy.ext.asyncio import AsyncSession


async def delete_ticket(
    session: AsyncSession, company_id: uuid.UUID, ticket_id: uuid.UUID, *, actor: str
) -> bool:
    """Delete the ticket's rows and note what is left to do outside. False when the company has no
    such ticket."""
    ticket = await lock_ticket(session, company_id, ticket_id)
    if ticket is None:
        return False
    await deletions.add(session, company_id=company_id, kind=Kind.TICKET, subject_id=ticket_id)
    session.add(
        tables.AuditEntry(
            company_id=company_id, actor=actor, action="ticket.deleted", subject=str(ticket_id)
        )
    )
    await session.delete(ticket)  # conversation and insights go with it
    await session.flush()
    return True


async def is_deleted(session: AsyncSession, company_id: uuid.UUID, ticket_id: uuid.UUID) -> bool:
    """Whether the company had this ticket and deleted it."""
    return await deletions.is_deleted(session, company_id, Kind.TICKET, ticket_id)


class TicketDeletions:
    """What a deleted ticket leaves outside Postgres: the handler of tickets in
    `outbox.deletions`."""

    kind = Kind.TICKET

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus

    async def delete_outside(self, target: Target) -> bool:
        """Tell a worker to stop, then delete what was sent to it and what it made. Nothing outside
        asks for the work, so nobody is left once the deletion has settled."""
        ticket_id = ids.parse_ticket_id(str(target.subject_id))
        if target.is_first_pass:
            await self._bus.put_control(ticket_id, ControlAction.CANCEL)
        await self._bus.purge_carried(target.company, Kind.TICKET, ticket_id)
        await self._store.delete_prefix(objects.format_ticket_prefix(target.company, ticket_id))
        await self._bus.purge_events(
            subjects.format_events_of(target.company, Kind.TICKET, ticket_id)
        )
        return True
