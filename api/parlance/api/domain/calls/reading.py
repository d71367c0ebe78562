"""One call as its readers see it: long polls, event streams, the result routes."""

import hashlib
import uuid
from dataclasses import dataclass
from typing import Any

from litestar.serialization import encode_json
from parlance.api.db import tables
from parlance.api.domain.calls import queries, views
from parlance.api.domain.calls.queries import FoundCall
from parlance.api.domain.calls.results import replies
from parlance.api.events.hub import Topic
from parlance.api.http.errors import Refused
from parlance.api.identity.keys import Principal
from parlance.api.wiring import Parts
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.calls import CallStatus
from parlance.contracts.ids import CompanySlug
from parlance.contracts.problems import Problem
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

_NOT_READY_RETRY_SECONDS = 2


@dataclass(frozen=True, slots=True)
class ReadCall:
    """The call object as it goes out."""

    body: bytes
    etag: str
    is_terminal: bool


@dataclass(frozen=True, slots=True)
class CallReader:
    """One call as its readers, long polls and streams see it."""

    parts: Parts
    principal: Principal
    base_url: str
    call_id: uuid.UUID

    @property
    def topic(self) -> Topic:
        return Topic(CompanySlug(self.principal.company_slug), id=str(self.call_id))

    async def fetch_row(self) -> FoundCall:
        company_id = self.principal.company_id
        async with self.parts.database.company_session(company_id) as session:
            return await queries.fetch_call(session, company_id, self.call_id)

    async def fetch(self) -> ReadCall:
        company_id = self.principal.company_id
        async with self.parts.database.company_session(company_id) as session:
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
        body = encode_json(call, _encode)
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        return ReadCall(body, etag, found.call.status.is_terminal)

    async def fetch_snapshot(self) -> bytes | None:
        """For the event stream, whose events carry the segments."""
        try:
            found = await self.fetch_row()
        except Refused:
            return None
        return encode_json(views.build_call(found.call, found.agent, self.base_url), _encode)

    async def fetch_terminal(self) -> Envelope | None:
        try:
            found = await self.fetch_row()
        except Refused:
            return None
        return replies.build_ended(found.call, CompanySlug(self.principal.company_slug))


def parse_etags(if_none_match: str) -> frozenset[str]:
    """The tags that a client knows; a proxy may have marked them as weak."""
    tags = (tag.strip().removeprefix("W/") for tag in if_none_match.split(","))
    return frozenset(tag for tag in tags if tag)


async def fetch_completed(
    session: AsyncSession, principal: Principal, call_id: uuid.UUID
) -> tables.Call:
    """Raises Refused: 409 while there is no result yet, 404 when there will be none."""
    call = (await queries.fetch_call(session, principal.company_id, call_id)).call
    if call.status is CallStatus.COMPLETED:
        return call
    if call.status.is_terminal:
        raise Refused(Problem.NOT_FOUND, f"The call is {call.status}; it has no result.")
    raise Refused(Problem.NOT_READY, headers={"Retry-After": str(_NOT_READY_RETRY_SECONDS)})


def _encode(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(type(value).__name__)
