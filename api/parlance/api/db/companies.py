"""Company ids by slug. Slugs never change and companies stay, so what was found is remembered."""

import uuid

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.contracts.ids import CompanySlug
from sqlmodel import col


class Companies:
    """Answers from memory after the first question."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids: dict[CompanySlug, uuid.UUID] = {}

    async def find_id(self, slug: CompanySlug) -> uuid.UUID | None:
        """None: there is no such company (yet)."""
        known = self._ids.get(slug)
        if known is not None:
            return known
        query = sa.select(col(tables.Company.id)).where(col(tables.Company.slug) == slug)
        async with self._database.system_session() as session:
            found: uuid.UUID | None = await session.scalar(query)
        if found is not None:
            self._ids[slug] = found
        return found
