"""What the recorder itself says about tickets on the bus: how one has ended, or that its result
cannot be stored.

Every id is made of ticket, attempt and type, so saying it twice is harmless. Called by `applier`,
and by readers who follow a ticket whose last event the bus no longer holds.
"""

from collections.abc import Mapping

from parlance.api.db import tables
from parlance.contracts.bus import tickets as ticket_events
from parlance.contracts.bus.envelopes import BY_RECORDER, Envelope
from parlance.contracts.bus.kinds import Cancelled
from parlance.contracts.crs.meta import Reason
from parlance.contracts.ids import CompanySlug
from parlance.contracts.problems import Problem
from parlance.contracts.tickets import TicketState
from parlance.contracts.values import Value


def build_analyzed(envelope: Envelope, timings: Mapping[str, float]) -> Envelope:
    """That a worker sent this result."""
    return ticket_events.EVENTS.build_event(
        ticket_events.Analyzed(timings=dict(timings)),
        company=envelope.company,
        subject=envelope.subject,
        attempt=envelope.attempt,
        at=envelope.timestamp,
    )


def build_completed(envelope: Envelope) -> Envelope:
    """After the commit of this result."""
    return ticket_events.EVENTS.build_event(
        ticket_events.Completed(),
        company=envelope.company,
        subject=envelope.subject,
        attempt=envelope.attempt,
    )


def build_ended(ticket: tables.Ticket, company: CompanySlug) -> Envelope | None:
    """The terminal event, made from the row; None while the analysis has not ended."""
    data: Value
    match ticket.state:
        case TicketState.COMPLETED:
            data = ticket_events.Completed()
        case TicketState.FAILED:
            data = ticket_events.Failed(
                reason=ticket.error_reason or "",
                code=ticket.error_code or "",
                message=ticket.error_message or "",
                retryable=bool(ticket.error_retryable),
            )
        case TicketState.CANCELLED:
            data = Cancelled(message=ticket.error_message or "")
        case _:
            return None
    return ticket_events.EVENTS.build_event(
        data,
        company=company,
        subject=str(ticket.id),
        attempt=ticket.attempt,
        detail="" if ticket.state is TicketState.COMPLETED else BY_RECORDER,
        at=ticket.completed_at,
    )


def build_broken_artefact(envelope: Envelope) -> Envelope:
    return _build_failed(envelope, "The result of the analysis is missing or damaged.")


def build_not_stored(envelope: Envelope) -> Envelope:
    return _build_failed(envelope, "The result could not be stored.")


def _build_failed(envelope: Envelope, message: str) -> Envelope:
    """The recorder receives this event like any other, and fails the attempt then."""
    failed = ticket_events.Failed(
        reason=Reason.OUTPUT_WRITE_FAILED,
        code=Problem.INTERNAL.code,
        message=message,
        retryable=Problem.INTERNAL.retryable,
    )
    return ticket_events.EVENTS.build_event(
        failed,
        company=envelope.company,
        subject=envelope.subject,
        attempt=envelope.attempt,
        detail=BY_RECORDER,
    )
