"""The locked row of a call, which every change of a call starts with.

A call is changed by the recorder, by cancelling and by deleting, and each of them takes the call
out of the outbox too. The order of the locks is documented in `outbox.rows`.
"""

import uuid

import sqlalchemy as sa
from parlance.api.db import tables
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col


async def lock_call(
    session: AsyncSession, company_id: uuid.UUID, call_id: uuid.UUID
) -> tables.Call | None:
    """The call's row, locked and as it is now. None: the company has no such call."""
    return await session.scalar(
        select_call(company_id, call_id).with_for_update().execution_options(populate_existing=True)
    )


def select_call(company_id: uuid.UUID, call_id: uuid.UUID) -> sa.Select[tables.Call]:
    return sa.select(tables.Call).where(
        col(tables.Call.company_id) == company_id, col(tables.Call.id) == call_id
    )
