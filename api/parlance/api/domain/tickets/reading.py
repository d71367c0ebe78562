"""One ticket as its readers see it: long polls, event streams, the insights."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.db.tables import Json
from parlance.api.domain.results import answers
from parlance.api.domain.tickets import queries, views
from parlance.api.domain.tickets.queries import FoundTicket
from parlance.api.domain.tickets.results import replies
from parlance.api.events import hub
from parlance.api.events.following import Ended
from parlance.api.events.hub import Topic
from parlance.api.http import etag
from parlance.api.http.errors import Refused
from parlance.api.identity.principal import Principal
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.tickets import TicketState
from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class ReadTicket:
    """The ticket object as it goes out."""

    body: bytes
    etag: str
    is_terminal: bool


@dataclass(frozen=True, slots=True)
class TicketReader:
    """Reads one ticket for one client."""

    database: Database
    principal: Principal
    ticket_id: uuid.UUID

    @property
    def topic(self) -> Topic:
        return hub.build_topic(self.principal.company_slug, Kind.TICKET, str(self.ticket_id))

    async def fetch_row(self) -> FoundTicket:
        """Raises Refused."""
        company_id = self.principal.company_id
        async with self.database.company_session(company_id) as session:
            return await queries.fetch_ticket(session, company_id, self.ticket_id)

    async def fetch(self) -> ReadTicket:
        """With the insights once there are some. Raises Refused."""
        company_id = self.principal.company_id
        async with self.database.company_session(company_id) as session:
            found = await queries.fetch_ticket(session, company_id, self.ticket_id)
            return await read(session, found)

    async def fetch_snapshot(self) -> bytes | None:
        """For the event stream."""
        try:
            found = await self.fetch_row()
        except Refused:
            return None
        return answers.encode(views.build_ticket(found.ticket, found.agent))

    async def fetch_end(self) -> Ended | None:
        """For the event stream, at every ping: mostly two columns of one row."""
        company_id = self.principal.company_id
        async with self.database.company_session(company_id) as session:
            life = await queries.find_life(session, company_id, self.ticket_id)
            if life is None:
                return Ended(None)
            if not life.state.is_terminal:
                return None
            try:
                ticket = (await queries.fetch_ticket(session, company_id, self.ticket_id)).ticket
            except Refused:  # deleted just now
                return Ended(None)
        return Ended(replies.build_ended(ticket, self.principal.company_slug))

    async def is_end(self, event: Envelope) -> bool:
        """Whether the event ends the newest analysis of the ticket."""
        company_id = self.principal.company_id
        async with self.database.company_session(company_id) as session:
            life = await queries.find_life(session, company_id, self.ticket_id)
        return life is None or event.attempt >= life.attempt


async def read(session: AsyncSession, found: FoundTicket, notes: Sequence[Json] = ()) -> ReadTicket:
    """The ticket object with all that belongs to it. `notes` are warnings about the request, shown
    beside those of the ticket."""
    ticket = found.ticket
    content = await queries.fetch_content(session, ticket.company_id, ticket.id)
    insights = None
    if ticket.state is TicketState.COMPLETED:
        insights = await queries.fetch_insights(session, ticket.company_id, ticket.id)
    full = views.build_full_ticket(ticket, found.agent, content, insights)
    body = answers.encode(full)
    tag = format_etag(ticket.revision, body)
    if notes:
        warnings = [*full.warnings, *views.build_notices(notes)]
        body = answers.encode(msgspec.structs.replace(full, warnings=warnings))
    return ReadTicket(body, tag, ticket.state.is_terminal)


async def fetch_completed(
    session: AsyncSession, principal: Principal, ticket_id: uuid.UUID
) -> tables.Ticket:
    """Raises Refused: 409 while there is no result yet, 404 when there will be none."""
    ticket = (await queries.fetch_ticket(session, principal.company_id, ticket_id)).ticket
    answers.check_completed(ticket.state, "analysis")
    return ticket


def format_etag(revision: int, body: bytes) -> str:
    """Another one for each change that a reader sees; begins with the revision, by which a writer
    is told whether somebody else has changed the ticket. The end of an analysis does not count."""
    return f'"{revision}-{etag.format_etag(body)[1:]}'


def parse_revision(tag: str) -> int | None:
    """The revision of a tag that `format_etag` made; None for any other text."""
    number, _, rest = tag.removeprefix('"').partition("-")
    is_number = number.isascii() and number.isdecimal() and len(number) < 10
    return int(number) if rest and is_number else None
