"""Cancelling a call: in the cluster if it got that far, otherwise here and now."""

import uuid

import sqlalchemy as sa
import structlog
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.domain.calls import jobs, queries
from parlance.api.http.errors import Refused
from parlance.api.identity.principal import Principal
from parlance.api.outbox import rows as outbox
from parlance.contracts import ids
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.calls import CallStatus
from parlance.contracts.ids import CompanySlug
from parlance.contracts.problems import Problem
from parlance.runtime.bus import Bus
from parlance.runtime.errors import Retryable
from parlance.runtime.kube import Kube, Outcome
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

_log = structlog.get_logger(__name__)


async def cancel(
    database: Database, kube: Kube, bus: Bus, principal: Principal, call_id: uuid.UUID
) -> None:
    """Raises Refused when there is no such call or it has ended, KubeUnavailable."""
    async with database.company_session(principal.company_id) as session:
        call = (await queries.fetch_call(session, principal.company_id, call_id)).call
        if call.status.is_terminal:
            raise Refused(Problem.ALREADY_FINISHED, f"The call is {call.status}.")
        has_job = not await _withdraw(session, principal.company_id, call_id)
        if not has_job:
            _end(call)
        session.add(
            tables.AuditEntry(
                company_id=principal.company_id,
                actor=principal.actor,
                action="call.cancelled",
                subject=str(call_id),
            )
        )
    if has_job and not await _ask_cluster(kube, call):
        # Lost with the cluster's store, or taken away by force: nobody else will end the call.
        async with database.company_session(principal.company_id) as session:
            call = (await queries.fetch_call(session, principal.company_id, call_id)).call
            # Its worker may still be at it, and the recorder about to write down the result.
            await session.refresh(call, with_for_update=True)
            if call.status.is_terminal:
                return
            _end(call)
        has_job = False
    if not has_job:
        await _announce(bus, principal, call)


async def _ask_cluster(kube: Kube, call: tables.Call) -> bool:
    """False when there is no job."""
    name = jobs.format_name(call)
    patched = await kube.patch_calljob(name, {"spec": {"cancel": True}})
    return patched.outcome is not Outcome.NOT_FOUND


def _end(call: tables.Call) -> None:
    call.status = CallStatus.CANCELLED
    call.completed_at = call.updated_at = tables.utc_now()


async def _withdraw(session: AsyncSession, company_id: uuid.UUID, call_id: uuid.UUID) -> bool:
    """Whether the call still waited in the outbox; then its job will never be made. Waits for a
    relay that has the row in its hands."""
    row = tables.OutboxRow
    query = (
        sa.select(col(row.id))
        .where(col(row.company_id) == company_id, col(row.subject_id) == call_id)
        .with_for_update()
    )
    was_waiting = await session.scalar(query) is not None
    await outbox.withdraw(session, company_id, Kind.CALL, call_id)
    return was_waiting


async def _announce(bus: Bus, principal: Principal, call: tables.Call) -> None:
    event = call_events.build_event(
        call_events.Cancelled(),
        company=CompanySlug(principal.company_slug),
        call_id=ids.parse_call_id(str(call.id)),
        attempt=call.attempt,
    )
    try:
        await bus.publish_event(event)
    except Retryable as fault:  # streams find the end in the row
        _log.info("cancellation not announced", call=str(call.id), problem=str(fault))
