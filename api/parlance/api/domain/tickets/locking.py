"""The locked row of a ticket, which every change that a client asks for starts with.

The recorder changes tickets too, without reading them first (`results.records`). The order of the
locks is documented in `outbox.rows`.
"""

import uuid

import sqlalchemy as sa
from parlance.api.db import tables
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col


async def lock_ticket(
    session: AsyncSession, company_id: uuid.UUID, ticket_id: uuid.UUID
) -> tables.Ticket | None:
    """The ticket's row, locked and as it is now. None: the company has no such ticket."""
    ticket = tables.Ticket
    return await session.scalar(
        sa.select(ticket)
        .where(col(ticket.company_id) == company_id, col(ticket.id) == ticket_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
