"""One call as its readers see it: long polls, event streams, the result routes."""

import uuid
from dataclasses import dataclass

from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.domain.calls import queries, views
from parlance.api.domain.calls.queries import FoundCall
from parlance.api.domain.calls.results import replies
from parlance.api.domain.results import answers
from parlance.api.events import hub
from parlance.api.events.following import Ended
from parlance.api.events.hub import Topic
from parlance.api.http import etag
from parlance.api.http.errors import Refused
from parlance.api.identity.principal import Principal
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.calls import CallStatus
from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class ReadCall:
    """The call object as it goes out."""

    body: bytes
    etag: str
    is_terminal: bool


@dataclass(frozen=True, slots=True)
class CallReader:
    """Reads one call for one client."""

    database: Database
    principal: Principal
    base_url: str
    call_id: uuid.UUID

    @property
    def topic(self) -> Topic:
        return hub.build_topic(self.principal.company_slug, Kind.CALL, str(self.call_id))

    async def fetch_row(self) -> FoundCall:
        """Raises Refused."""
        company_id = self.principal.company_id
        async with self.database.company_session(company_id) as session:
            return await queries.fetch_call(session, company_id, self.call_id)

    async def fetch(self) -> ReadCall:
        """With the result once there is one. Raises Refused."""
        company_id = self.principal.company_id
        async with self.database.company_session(company_id) as session:
            found = await queries.fetch_call(session, company_id, self.call_id)
            segments = insights = None
            if found.call.status is CallStatus.COMPLETED:
                segments = await queries.fetch_segments(session, company_id, self.call_id)
                insights = await queries.fetch_insights(session, company_id, self.call_id)
        call = views.build_call(
            found.call,
            found.agent,
            self.base_url,
            segments=segments,
            insights=insights,
            is_full=True,
        )
        body = answers.encode(call)
        return ReadCall(body, etag.format_etag(body), found.call.status.is_terminal)

    async def fetch_snapshot(self) -> bytes | None:
        """For the event stream, whose events carry the segments."""
        try:
            found = await self.fetch_row()
        except Refused:
            return None
        return answers.encode(views.build_call(found.call, found.agent, self.base_url))

    async def fetch_end(self) -> Ended | None:
        """For the event stream, at every ping: mostly one column of one row."""
        company_id = self.principal.company_id
        async with self.database.company_session(company_id) as session:
            status = await queries.fetch_status(session, company_id, self.call_id)
            if status is None:
                return Ended(None)
            if not status.is_terminal:
                return None
            try:
                call = (await queries.fetch_call(session, company_id, self.call_id)).call
            except Refused:  # deleted just now
                return Ended(None)
        return Ended(replies.build_ended(call, self.principal.company_slug))

    async def is_end(self, event: Envelope) -> bool:
        """A call ends once."""
        return True


async def fetch_completed(
    session: AsyncSession, principal: Principal, call_id: uuid.UUID
) -> tables.Call:
    """Raises Refused: 409 while there is no result yet, 404 when there will be none."""
    call = (await queries.fetch_call(session, principal.company_id, call_id)).call
    answers.check_completed(call.status, "call")
    return call
