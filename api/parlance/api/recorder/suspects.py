"""Queries of `orphans`: the owners of objects that have no row, as the database remembers them."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.outbox.deletions import Key
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.ids import CompanySlug
from parlance.contracts.objects import Owner
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

_TABLE = tables.SuspectedOrphan
_KEY = sa.tuple_(col(_TABLE.company_id), col(_TABLE.kind), col(_TABLE.subject_id))

FIRST: Key = (uuid.UUID(int=0), "", uuid.UUID(int=0))
"""Before every key."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """An owner without a row, and since when that is known."""

    owner: Owner
    company_id: uuid.UUID
    first_seen_at: datetime

    @property
    def key(self) -> Key:
        return self.company_id, self.owner.kind, uuid.UUID(self.owner.subject_id)


async def add(session: AsyncSession, found: Iterable[Suspect]) -> None:
    """Who is a suspect already stays one since then."""
    rows = [
        {
            "company_id": suspect.company_id,
            "kind": suspect.owner.kind,
            "subject_id": uuid.UUID(suspect.owner.subject_id),
            "first_seen_at": suspect.first_seen_at,
        }
        for suspect in found
    ]
    if rows:
        await session.execute(pg.insert(_TABLE).values(rows).on_conflict_do_nothing())


async def fetch_batch(
    session: AsyncSession, kinds: Iterable[Kind], *, after: Key, limit: int
) -> list[Suspect]:
    """The next suspects in the order of their keys."""
    query = (
        sa.select(_TABLE, col(tables.Company.slug))
        .join(tables.Company, col(tables.Company.id) == col(_TABLE.company_id))
        .where(col(_TABLE.kind).in_(list(kinds)), sa.tuple_(*map(sa.literal, after)) < _KEY)
        .order_by(col(_TABLE.company_id), col(_TABLE.kind), col(_TABLE.subject_id))
        .limit(limit)
    )
    return [
        Suspect(
            Owner(CompanySlug(slug), Kind(row.kind), str(row.subject_id)),
            row.company_id,
            row.first_seen_at,
        )
        for row, slug in await session.execute(query)
    ]


async def count(session: AsyncSession) -> int:
    return await session.scalar(sa.select(sa.func.count()).select_from(_TABLE)) or 0


async def clear(session: AsyncSession, cleared: Sequence[Suspect]) -> None:
    """They are no suspects any more; seen without a row again, their time begins anew."""
    if cleared:
        keys = [suspect.key for suspect in cleared]
        await session.execute(sa.delete(_TABLE).where(_KEY.in_(keys)))
