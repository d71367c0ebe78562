"""Cancelling a call: in the cluster if it got that far, otherwise here and now."""

import uuid

import structlog
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.domain.calls import jobs, locking, queries
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

_log = structlog.get_logger(__name__)


async def cancel(
    database: Database, kube: Kube, bus: Bus, principal: Principal, call_id: uuid.UUID
) -> None:
    """Raises Refused when there is no such call or it has ended, KubeUnavailable.

    The audit has two entries: that cancelling was requested (`call.cancel_requested`), before
    the cluster is asked, and that it was done (`call.cancelled`), written afterwards. When the
    cluster is away, only the first one is there.
    """
    async with database.company_session(principal.company_id) as session:
        call = await _lock_open(session, principal, call_id)
        _note(session, principal, call_id, "call.cancel_requested")
        is_ended = await outbox.withdraw(session, principal.company_id, Kind.CALL, call_id)
        if is_ended:  # its job will never be made
            _end(session, principal, call)
    if not is_ended and await _ask_cluster(kube, call):
        async with database.company_session(principal.company_id) as session:
            _note(session, principal, call_id, "call.cancelled")
        return
    if not is_ended:
        # Its job was lost with the cluster's store, or removed by force: nobody else will end the
        # call. Its worker may still be running, and the recorder about to write the result.
        try:
            async with database.company_session(principal.company_id) as session:
                call = await _lock_open(session, principal, call_id)
                # It may have been given to the outbox again meanwhile. This waits for a relay that
                # is just sending it, whose job is then cancelled below.
                await outbox.withdraw(session, principal.company_id, Kind.CALL, call_id)
                _end(session, principal, call)
        except Refused:
            return  # it ended or was deleted meanwhile, which is what was asked for
        await _end_late_job(kube, call)
    await _announce(bus, principal, call)


async def _lock_open(
    session: AsyncSession, principal: Principal, call_id: uuid.UUID
) -> tables.Call:
    """The call's row, locked before its outbox row (see the order in `outbox.rows`). Raises
    Refused when there is none or it has ended."""
    call = await locking.lock_call(session, principal.company_id, call_id)
    if call is None:
        call = (await queries.fetch_call(session, principal.company_id, call_id)).call
    if call.status.is_terminal:
        raise Refused(Problem.ALREADY_FINISHED, f"The call is {call.status}.")
    return call


async def _ask_cluster(kube: Kube, call: tables.Call) -> bool:
    """False when there is no job."""
    name = jobs.format_name(call)
    patched = await kube.patch_calljob(name, {"spec": {"cancel": True}})
    return patched.outcome is not Outcome.NOT_FOUND


async def _end_late_job(kube: Kube, call: tables.Call) -> None:
    """Of a call that has ended: nothing is taken back when the cluster is away."""
    try:
        await _ask_cluster(kube, call)
    except Retryable as fault:
        _log.warning("a late job may go on", call=str(call.id), problem=str(fault))


def _end(session: AsyncSession, principal: Principal, call: tables.Call) -> None:
    call.status = CallStatus.CANCELLED
    call.completed_at = call.updated_at = tables.utc_now()
    _note(session, principal, call.id, "call.cancelled")


def _note(session: AsyncSession, principal: Principal, call_id: uuid.UUID, action: str) -> None:
    session.add(
        tables.AuditEntry(
            company_id=principal.company_id,
            actor=principal.actor,
            action=action,
            subject=str(call_id),
        )
    )


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
