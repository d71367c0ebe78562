"""What the recorder's janitor has to know of tickets: which of them are known."""

import uuid
from collections.abc import Collection

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.ids import CompanySlug
from parlance.contracts.objects import Owner
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col


class TicketOwners:
    """Which tickets that have objects in the store are known somewhere."""

    kind = Kind.TICKET

    async def find_known(self, session: AsyncSession, owners: Collection[Owner]) -> set[Owner]:
        """Those that have a row."""
        ticket, company = tables.Ticket, tables.Company
        query = (
            sa.select(col(ticket.id), col(company.slug))
            .join(company, col(company.id) == col(ticket.company_id))
            .where(col(ticket.id).in_([uuid.UUID(owner.subject_id) for owner in owners]))
        )
        return {
            Owner(CompanySlug(slug), Kind.TICKET, str(ticket_id))
            for ticket_id, slug in await session.execute(query)
        }

    async def find_requested(self, owners: Collection[Owner]) -> set[Owner]:
        """None: tickets have no custom resources."""
        return set()
