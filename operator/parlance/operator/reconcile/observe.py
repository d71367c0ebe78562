"""Reading the truth about one call from the bus, before a decision that is final."""

import dataclasses
from datetime import datetime

import structlog
from parlance.contracts.bus import subjects
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.crs.v1alpha1.calljob import CallJob
from parlance.contracts.ids import CompanySlug
from parlance.operator.planning import facts as facting
from parlance.operator.planning.facts import Facts
from parlance.operator.planning.observed import Observed
from parlance.runtime.bus import Bus
from pydantic import ValidationError

_log = structlog.get_logger(__name__)


async def read_truth(bus: Bus, job: CallJob, observed: Observed) -> Observed:
    """Facts from the stream itself, and whether the job still waits. Raises BusUnavailable."""
    read = await _read_facts(bus, job)
    dispatch = job.status.dispatch
    is_stored = None
    if dispatch is not None and dispatch.sequence > 0:
        is_stored = await bus.is_job_stored(dispatch.sequence)
    return dataclasses.replace(
        observed,
        facts=facting.renew(observed.facts, read, now=observed.now),
        is_truth=True,
        is_message_stored=is_stored,
    )


async def _read_facts(bus: Bus, job: CallJob) -> Facts:
    company = CompanySlug(job.spec.company)
    facts = Facts()
    wanted = subjects.format_events_of(company, Kind.CALL, job.call_id)
    async for stored in bus.read_events(wanted):
        facts = fold_or_skip(facts, stored.envelope, heard_at=stored.envelope.timestamp)
    return facts


def fold_or_skip(facts: Facts, event: Envelope, *, heard_at: datetime) -> Facts:
    """`fold`, but an event that does not fit the contract changes nothing."""
    try:
        return facting.fold(facts, event, heard_at=heard_at)
    except ValidationError as exc:
        _log.error("unreadable event", id=event.id, type=event.type, problem=str(exc)[:300])
        return facts
