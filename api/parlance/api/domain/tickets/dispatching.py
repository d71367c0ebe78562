"""What the outbox sends for a ticket: its job, straight to the text workers.

`add` notes it in the transaction that writes the ticket; `TicketSender` publishes `ticket.queued`
and the job when `outbox.relay` asks. Each attempt of a ticket is queued once, however often it is
sent.
"""

from datetime import datetime

from parlance.api.db import tables
from parlance.api.outbox import rows as outbox
from parlance.contracts import ids
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.bus.tickets import TicketDispatch
from parlance.contracts.ids import CompanySlug
from sqlalchemy.ext.asyncio import AsyncSession


def add(
    session: AsyncSession,
    ticket: tables.Ticket,
    company: CompanySlug,
    *,
    object_key: str,
    sha256: str,
    at: datetime,
) -> None:
    """Note that this attempt of the ticket has to be analysed; the session commits it. The document
    (`contracts.tickets.TicketDocument`) is in the store already."""
    outbox.add(
        session,
        company_id=ticket.company_id,
        kind=Kind.TICKET,
        subject_id=ticket.id,
        payload=build_dispatch(
            ticket, company, object_key=object_key, sha256=sha256, at=at
        ).model_dump(mode="json"),
        rank=tables.PRIORITY_RANK[ticket.lane],
    )


def build_dispatch(
    ticket: tables.Ticket,
    company: CompanySlug,
    *,
    object_key: str,
    sha256: str,
    at: datetime,
) -> TicketDispatch:
    ticket_id = ids.parse_ticket_id(str(ticket.id))
    return TicketDispatch(
        company=company,
        attempt=ticket.attempt,
        uid=ticket_id,
        priority=ticket.lane,
        dispatched_at=at,
        ticket_id=ticket_id,
        object_key=object_key,
        sha256=sha256,
        messages=ticket.message_count,
    )
