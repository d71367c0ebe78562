"""The outbox: what has to happen in the cluster once a transaction is committed.

`add` is called in the transaction that writes the call; `relay` does the rest. A row that is gone
is either done or not wanted any more, so deleting or cancelling a call deletes its row.
"""

import math
import uuid

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.contracts import ids
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.crs import meta
from parlance.contracts.crs.v1alpha1 import calljob
from parlance.contracts.ids import CompanySlug
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col


def add(
    session: AsyncSession,
    call: tables.Call,
    company: CompanySlug,
    *,
    traceparent: str | None = None,
) -> None:
    """Note that the call needs a CallJob. Writes nothing by itself: the session commits it."""
    session.add(
        tables.OutboxRow(
            company_id=call.company_id,
            kind=Kind.CALL,
            subject_id=call.id,
            payload=build_calljob(call, company, traceparent=traceparent),
            priority=tables.PRIORITY_RANK[call.priority],
        )
    )


async def withdraw(session: AsyncSession, company_id: uuid.UUID, call_id: uuid.UUID) -> None:
    """Take back what is not relayed yet. Waits for a relay that has the row in its hands, so that
    afterwards the CallJob either exists or never will."""
    await session.execute(
        sa.delete(tables.OutboxRow).where(
            col(tables.OutboxRow.company_id) == company_id,
            col(tables.OutboxRow.kind) == Kind.CALL,
            col(tables.OutboxRow.subject_id) == call_id,
        )
    )


def build_calljob(
    call: tables.Call, company: CompanySlug, *, traceparent: str | None = None
) -> dict[str, JsonValue]:
    """The CallJob of a call that came in by the API."""
    spec = calljob.CallJobSpec(
        company=company,
        audio=calljob.Audio(
            object_key=call.audio_key, sha256=call.sha256, media_type=call.media_type
        ),
        channels=calljob.Channels.of(call.channels),
        language=call.language,
        priority_class=calljob.PriorityClass.of(call.priority),
        active_deadline_seconds=_plan_deadline_seconds(call.duration_seconds or 0.0),
    )
    return calljob.build_manifest(
        name=ids.format_calljob_name(ids.parse_call_id(str(call.id))),
        spec=spec,
        labels={meta.COMPANY_LABEL: company},
        annotations={meta.TRACEPARENT_ANNOTATION: traceparent} if traceparent else {},
        finalizers=(meta.FINALIZER,),
    )


def _plan_deadline_seconds(duration_seconds: float) -> int:
    """An hour, or twice the length of a longer call: even one CPU is faster than that."""
    return max(3600, math.ceil(2 * duration_seconds))
