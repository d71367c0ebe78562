"""What the outbox sends for a ticket: its job, straight to the text workers.

`build_work` makes the row, which the transaction of the ticket writes; `TicketSender` publishes
`ticket.queued` and the job when `outbox.relay` asks. Each attempt of a ticket is queued once,
however often it is sent.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.outbox.rows import Work
from parlance.api.outbox.window import AdmissionWindow
from parlance.contracts import ids
from parlance.contracts.bus import tickets as ticket_events
from parlance.contracts.bus.envelopes import BY_RECORDER
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.bus.tickets import Carried, TicketDispatch
from parlance.contracts.calls import Priority
from parlance.contracts.crs.meta import Reason
from parlance.contracts.ids import CompanySlug
from parlance.contracts.problems import Problem
from parlance.contracts.tickets import TicketState
from parlance.runtime.bus import Bus
from parlance.runtime.clock import Clock
from parlance.runtime.errors import Permanent
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

OPEN_STATES = (TicketState.QUEUED, TicketState.PROCESSING)

MAX_WAITING_JOBS = 10_000
"""Tickets in JOBS at once; the rest waits in the outbox. It is a minute's work for many workers,
and usually 40 MB. Without a bound, an import of a million tickets would take all of the
stream's 1 GiB, which calls need too, and all of it would be sent again after a loss of NATS."""


class QueuedTicket(Protocol):
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


def build_work(
    ticket: QueuedTicket, company: CompanySlug, document: Carried, *, at: datetime
) -> Work:
    """What `outbox.rows.add_many` writes to have this attempt of the ticket analysed. A document
    that is too large for the dispatch is in the store already."""
    dispatch = build_dispatch(ticket, company, document, at=at)
    payload = dispatch.model_dump(mode="json")
    return Work(ticket.id, payload, tables.PRIORITY_RANK[ticket.lane])


def build_dispatch(
    ticket: QueuedTicket, company: CompanySlug, document: Carried, *, at: datetime
) -> TicketDispatch:
    ticket_id = ids.parse_ticket_id(str(ticket.id))
    return TicketDispatch(
        company=company,
        attempt=ticket.attempt,
        uid=ticket_id,
        priority=ticket.lane,
        dispatched_at=at,
        ticket_id=ticket_id,
        document=document,
        messages=ticket.message_count,
    )


class TicketSender:
    """Queues committed tickets for the workers: the handler of tickets in `outbox.relay`."""

    kind = Kind.TICKET

    def __init__(self, bus: Bus, clock: Clock, *, max_waiting_jobs: int = MAX_WAITING_JOBS) -> None:
        self._bus = bus
        self._clock = clock
        self._window = AdmissionWindow(
            lambda: bus.count_jobs(Kind.TICKET), clock, max_live=max_waiting_jobs
        )

    async def count_room(self, *, is_inline: bool) -> int:
        return await self._window.count_room(is_inline=is_inline)

    async def find_wanted(
        self, session: AsyncSession, subject_ids: Sequence[uuid.UUID]
    ) -> set[uuid.UUID]:
        """Tickets whose analysis has not ended. Also those that a worker is said to have begun: one
        that is sent again because its job was lost may still be told about by late events."""
        query = sa.select(col(tables.Ticket.id)).where(
            col(tables.Ticket.id).in_(subject_ids), col(tables.Ticket.state).in_(OPEN_STATES)
        )
        return set((await session.scalars(query)).all())

    async def send(self, row: tables.OutboxRow) -> bool:
        """First the event, then the job: no worker can speak of the ticket before it is queued."""
        try:
            stored = TicketDispatch.model_validate(row.payload)
        except ValidationError as exc:
            raise Permanent(f"the dispatch of ticket {row.subject_id} is malformed") from exc
        dispatch = stored.model_copy(update={"dispatched_at": self._clock.now()})
        await self._bus.publish_event(
            ticket_events.EVENTS.build_event(
                ticket_events.Queued(messages=dispatch.messages),
                company=dispatch.company,
                subject=dispatch.ticket_id,
                attempt=dispatch.attempt,
                at=dispatch.dispatched_at,
            )
        )
        job = await self._bus.publish_job(dispatch)
        if not job.is_repeat:
            self._window.note_created()
        return not job.is_repeat

    async def give_up(self, row: tables.OutboxRow, refusal: Permanent) -> None:
        """A job that can never be queued fails its ticket. The recorder takes the event like any
        failure, ends the ticket and removes the outbox row."""
        failed = ticket_events.Failed(
            reason=Reason.INVALID_INPUT,
            code=Problem.INTERNAL.code,
            message="The ticket could not be handed to the workers.",
            retryable=False,
        )
        event = ticket_events.EVENTS.build_event(
            failed,
            company=CompanySlug(str(row.payload.get("company"))),
            subject=str(row.subject_id),
            attempt=int(str(row.payload.get("attempt", 1))),
            detail=BY_RECORDER,
        )
        await self._bus.publish_event(event)
