"""Queries of the applier: the locked row of a call, and the rows of its result.

All of them run in a session of the call's own company.
"""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.calls import deleting, locking
from parlance.api.domain.calls.results import rows
from parlance.api.domain.calls.results.artefacts import Artefacts
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.calls import CallStatus
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

SEGMENTS_PER_INSERT = 1000


async def find_call(
    session: AsyncSession, company_id: uuid.UUID, call_id: uuid.UUID
) -> tables.Call | None:
    return await session.scalar(locking.select_call(company_id, call_id))


async def lock_or_add_call(
    session: AsyncSession, company_id: uuid.UUID, envelope: Envelope
) -> tables.Call | None:
    """The call's row, locked. A call that came by kubectl gets its row with the first event that
    speaks of it. None: it was deleted, or its id is that of another company's call."""
    call_id = uuid.UUID(envelope.subject)
    call = await locking.lock_call(session, company_id, call_id)
    if call is not None:
        return call
    if await deleting.is_deleted(session, company_id, call_id):
        return None
    row = _build_kubectl_call(company_id, envelope)
    await session.execute(pg.insert(tables.Call).values(row).on_conflict_do_nothing())
    return await locking.lock_call(session, company_id, call_id)


async def update_percent(
    session: AsyncSession, company_id: uuid.UUID, envelope: Envelope, percent: int
) -> None:
    """No lock and no history: the next event corrects it."""
    call = tables.Call
    await session.execute(
        sa.update(call)
        .where(
            col(call.company_id) == company_id,
            col(call.id) == uuid.UUID(envelope.subject),
            col(call.status) == CallStatus.PROCESSING,
            col(call.attempt) == envelope.attempt,
            col(call.percent) < percent,
        )
        .values(percent=percent)
    )


async def replace_result(session: AsyncSession, call: tables.Call, found: Artefacts) -> None:
    """Segments and insights of a call, in place of what may be there.

    Many rows per statement rather than COPY, which Postgres refuses on tables with row security.
    """
    await session.execute(
        sa.delete(tables.CallSegment).where(
            col(tables.CallSegment.company_id) == call.company_id,
            col(tables.CallSegment.call_id) == call.id,
        )
    )
    segments = rows.build_segments(call.company_id, call.id, found.transcript, found.insights)
    for chunk in _chunks(segments, SEGMENTS_PER_INSERT):
        await session.execute(sa.insert(tables.SEGMENTS), list(chunk))
    row = rows.build_insights(call.company_id, call.id, found.insights, call.attempt)
    insert = pg.insert(tables.CallInsights).values(row)
    await session.execute(
        insert.on_conflict_do_update(
            index_elements=["call_id"],
            set_={name: insert.excluded[name] for name in ("attempt", "profile", "data")},
        )
    )


def _build_kubectl_call(company_id: uuid.UUID, envelope: Envelope) -> dict[str, Any]:
    """As little as any event tells; `transitions.queue` fills in the rest."""
    call = tables.Call(
        id=uuid.UUID(envelope.subject),
        company_id=company_id,
        source=tables.CallSource.KUBECTL,
        created_at=envelope.timestamp,
        updated_at=envelope.timestamp,
        # Whoever writes a CallJob decides whether the same audio runs twice.
        allow_duplicate=True,
    )
    return call.model_dump()


def _chunks(items: Sequence[dict[str, Any]], size: int) -> Iterator[Sequence[dict[str, Any]]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
