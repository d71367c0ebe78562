"""What the outbox sends for a ticket: its job, straight to the text workers.

`add` notes it in the transaction that writes the ticket; `TicketSender` publishes `ticket.queued`
and the job when `outbox.relay` asks. Each attempt of a ticket is queued once, however often it is
sent.
"""

import uuid
from datetime import datetime
from typing import Protocol

from parlance.api.db import tables
from parlance.api.outbox import rows as outbox
from parlance.api.outbox.rows import Work
from parlance.contracts import ids
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.bus.tickets import TicketDispatch
from parlance.contracts.calls import Priority
from parlance.contracts.ids import CompanySlug
from sqlalchemy.ext.asyncio import AsyncSession


class Queued(Protocol):
    """A ticket that is to be analysed: its row, or what is about to be one."""

    @property
    def id(self) -> uuid.UUID: ...

    @property
    def company_id(self) -> uuid.UUID: ...

    @property
    def attempt(self) -> int: ...

    @property
    def lane(self) -> Priority: ...

    @property
    def message_count(self) -> int: ...


def add(
    session: AsyncSession,
    ticket: Queued,
    company: CompanySlug,
    *,
    object_key: str,
    sha256: str,
    at: datetime,
) -> None:
    """Note that this attempt of the ticket has to be analysed; the session commits it. The document
    (`contracts.tickets.TicketDocument`) is in the store already."""
    work = build_work(ticket, company, object_key=object_key, sha256=sha256, at=at)
    outbox.add(
        session,
        company_id=ticket.company_id,
        kind=Kind.TICKET,
        subject_id=work.subject_id,
        payload=work.payload,
        rank=work.rank,
    )


def build_work(
    ticket: Queued, company: CompanySlug, *, object_key: str, sha256: str, at: datetime
) -> Work:
    """The same for `outbox.rows.add_many`."""
    dispatch = build_dispatch(ticket, company, object_key=object_key, sha256=sha256, at=at)
    payload = dispatch.model_dump(mode="json")
    return Work(ticket.id, payload, tables.PRIORITY_RANK[ticket.lane])


def build_dispatch(
    ticket: Queued,
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
