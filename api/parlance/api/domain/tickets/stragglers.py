"""Finds tickets whose work was lost, and hands them to the workers again.

Postgres is the truth about what is still wanted, and NATS may lose what it holds. A ticket that is
open and not in the outbox was queued in JOBS. It is sent again with the same attempt:

- at once, when its work was asked for before the present JOBS was made: all of NATS was lost;
- when nothing was heard of it for `STALL_SECONDS`, and all that is left in its lane was queued
  after its work was asked for.

Each is looked for in NATS before, by its id: it may have waited for hours in the outbox, and be in
its lane since a moment ago, or its result may wait for the recorder.

Sending again is harmless: JOBS drops the same attempt for a while, and a worker does nothing about
one that has ended. Called by the recorder, every few seconds.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from parlance.api.db import tables
from parlance.api.db.errors import RowConflict
from parlance.api.db.session import Database
from parlance.api.domain.tickets import contents, dispatching, queries
from parlance.api.domain.tickets.contents import Document
from parlance.api.domain.tickets.locking import lock_ticket
from parlance.api.outbox import rows as outbox
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.calls import Priority
from parlance.contracts.ids import CompanySlug
from parlance.contracts.tickets import TicketState
from parlance.runtime.bus import Bus
from parlance.runtime.clock import Clock
from parlance.runtime.errors import Retryable
from parlance.runtime.store import Store
from prometheus_client import Counter
from sqlmodel import col

_log = structlog.get_logger(__name__)
_FOUND = Counter("parlance_ticket_stragglers", "Tickets sent again, by why.", ["why"])

ROUND_SECONDS = 5.0
"""A round asks NATS one question; only after a loss it asks Postgres too."""
QUIET_ROUND_SECONDS = 60.0
STALL_SECONDS = 600.0
"""Far longer than any analysis, and than a recorder that restarts needs to catch up."""
SKEW = timedelta(seconds=30)
"""Times of Postgres, of the relay and of NATS are compared; their clocks may differ so much."""
TICKETS_PER_BATCH = 50

_QUEUED_AT = sa.func.coalesce(col(tables.Ticket.queued_at), col(tables.Ticket.updated_at))
_Found = tuple[tables.Ticket, CompanySlug]


class Stragglers:
    """One per recorder process; several are harmless."""

    def __init__(self, database: Database, store: Store, bus: Bus, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._bus = bus
        self._clock = clock
        self._jobs_created: str | None = None
        """Of the JOBS for which all lost tickets were sent again."""
        self._quiet_at = clock.monotonic()

    async def run_pass(self) -> None:
        """Raises Retryable faults; what was sent before stays sent."""
        created = await self._bus.jobs_created()
        if created and created != self._jobs_created:
            await self._send_all("lost", _was_queued_before(datetime.fromisoformat(created) + SKEW))
            self._jobs_created = created
        if self._clock.monotonic() >= self._quiet_at:
            await self._send_all("quiet", await self._is_quiet())
            self._quiet_at = self._clock.monotonic() + QUIET_ROUND_SECONDS

    async def _is_quiet(self) -> sa.ColumnElement[bool]:
        """Heard of long ago, and older than all that is left in its lane."""
        lane = col(tables.Ticket.lane)
        left = []
        for priority in Priority:
            oldest = await self._bus.find_oldest_job(Kind.TICKET, priority)
            is_before = sa.true() if oldest is None else _was_queued_before(oldest - SKEW)
            left.append(sa.and_(lane == priority, is_before))
        stalled = self._clock.now() - timedelta(seconds=STALL_SECONDS)
        is_old = sa.and_(_was_queued_before(stalled), col(tables.Ticket.updated_at) < stalled)
        return sa.and_(is_old, sa.or_(*left))

    async def _send_all(self, why: str, condition: sa.ColumnElement[bool]) -> None:
        async for batch in self._find(condition):
            results = await asyncio.gather(
                *(self._send_again(why, ticket, company) for ticket, company in batch),
                return_exceptions=True,
            )
            faults = [fault for fault in results if isinstance(fault, BaseException)]
            for fault in faults:
                if isinstance(fault, Retryable) or not isinstance(fault, Exception):
                    raise fault
                # One ticket that cannot be sent must not hide those behind it.
                _log.error("ticket not sent again", exc_info=fault)

    async def _find(self, condition: sa.ColumnElement[bool]) -> AsyncIterator[Sequence[_Found]]:
        """In order of id, so that each is found once."""
        after = uuid.UUID(int=0)
        while True:
            async with self._database.system_session() as session:
                rows = await session.execute(select_open(condition, after))
                found = [(ticket, CompanySlug(slug)) for ticket, slug in rows]
            if found:
                after = found[-1][0].id
                yield found
            if len(found) < TICKETS_PER_BATCH:
                return

    async def _send_again(self, why: str, ticket: tables.Ticket, company: CompanySlug) -> None:
        """The document may be lost too, so it is made again."""
        if await self._bus.is_held(company, Kind.TICKET, str(ticket.id)):
            return
        async with self._database.company_session(ticket.company_id) as session:
            content = await queries.fetch_content(session, ticket.company_id, ticket.id)
        if content is None:
            return  # deleted just now
        document = contents.build_document(ticket, company, content.messages)
        await document.put(self._store)
        try:
            is_sent = await self._note(ticket, company, document)
        except RowConflict:  # another recorder was faster, and the document is its own too
            return
        if not is_sent:  # whoever ended the attempt has deleted its objects, maybe before this one
            await document.delete(self._store)
            return
        _FOUND.labels(why).inc()
        _log.warning("ticket sent again", ticket=str(ticket.id), why=why)

    async def _note(self, ticket: tables.Ticket, company: CompanySlug, document: Document) -> bool:
        """False: this attempt is over."""
        async with self._database.company_session(ticket.company_id) as session:
            current = await lock_ticket(session, ticket.company_id, ticket.id)
            if current is None or current.state.is_terminal or current.attempt != ticket.attempt:
                return False
            now = self._clock.now()
            current.state = TicketState.QUEUED
            current.queued_at = current.updated_at = now
            work = dispatching.build_work(current, company, document.carried, at=now)
            await outbox.add_many(session, ticket.company_id, Kind.TICKET, [work])
        return True


def _was_queued_before(at: datetime) -> sa.ColumnElement[bool]:
    return at > _QUEUED_AT


def select_open(
    condition: sa.ColumnElement[bool], after: uuid.UUID
) -> sa.Select[tables.Ticket, str]:
    ticket, row = tables.Ticket, tables.OutboxRow
    is_waiting = (
        sa.select(col(row.id))
        .where(col(row.kind) == Kind.TICKET, col(row.subject_id) == col(ticket.id))
        .exists()
    )
    # As text, so that Postgres sees at once that its index of open tickets serves it. A test
    # compares it with `dispatching.OPEN_STATES`, here, in the index and in `results.records`.
    is_open = sa.text("tickets.state IN ('queued', 'processing')")
    return (
        sa.select(ticket, col(tables.Company.slug))
        .join(tables.Company, col(tables.Company.id) == col(ticket.company_id))
        .where(is_open, col(ticket.id) > after, condition, ~is_waiting)
        .order_by(col(ticket.id))
        .limit(TICKETS_PER_BATCH)
    )
