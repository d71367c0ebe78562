"""The outbox: what has to happen outside Postgres once a transaction is committed.

`add` is called in the transaction that writes the subject; `relay` does the rest. A row that is
gone is either done or not wanted any more, so deleting or cancelling something deletes its row.

Lock order. A transaction that touches more than one of these rows locks them in this order: the
row of the subject itself (the call, the ticket...), then its outbox row, then its deletion. Any
other order lets two transactions wait for each other until Postgres breaks one of them off. The
relay locks outbox rows only.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.db.tables import Json
from parlance.contracts import ids
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col


def add(
    session: AsyncSession,
    *,
    company_id: uuid.UUID,
    kind: str,
    subject_id: uuid.UUID,
    payload: Json,
    rank: int,
) -> None:
    """Note that something has to be sent, lowest `rank` first. Writes nothing by itself: the
    session commits it."""
    session.add(
        tables.OutboxRow(
            company_id=company_id,
            kind=kind,
            subject_id=subject_id,
            payload=payload,
            priority=rank,
        )
    )


@dataclass(frozen=True, slots=True)
class Work:
    """One thing that has to be sent; the same as the arguments of `add`."""

    subject_id: uuid.UUID
    payload: Json
    rank: int


async def add_many(
    session: AsyncSession, company_id: uuid.UUID, kind: str, found: Sequence[Work]
) -> None:
    """`add` for very many, in one statement. A row object costs ten times as much as its insert."""
    now = tables.utc_now()
    values = [
        {
            "id": ids.new_uuid7(),
            "company_id": company_id,
            "kind": kind,
            "subject_id": work.subject_id,
            "payload": work.payload,
            "priority": work.rank,
            "attempts": 0,
            "next_at": now,
            "created_at": now,
        }
        for work in found
    ]
    await session.execute(sa.insert(tables.OutboxRow), values)


async def withdraw(
    session: AsyncSession, company_id: uuid.UUID, kind: str, subject_id: uuid.UUID
) -> bool:
    """Take back what is not sent yet. Waits for a relay that is just sending it, so afterwards it
    either is outside or never will be. Returns whether it was still here."""
    return bool(await withdraw_many(session, company_id, kind, [subject_id]))


async def withdraw_many(
    session: AsyncSession, company_id: uuid.UUID, kind: str, subject_ids: Sequence[uuid.UUID]
) -> list[Json]:
    """The same for several subjects, whose own rows are locked. Returns the payloads of those
    that were still here."""
    row = tables.OutboxRow
    deleted = await session.scalars(
        sa.delete(row)
        .where(
            col(row.company_id) == company_id,
            col(row.kind) == kind,
            col(row.subject_id).in_(subject_ids),
        )
        .returning(col(row.payload))
    )
    return list(deleted.all())
