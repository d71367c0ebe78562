"""Which user a call or a ticket belongs to, from the ids that a client gave."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.http.errors import Refused, refuse_field
from parlance.api.http.fields import build_warning
from parlance.contracts.problems import Problem, WarningCode
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col


@dataclass(frozen=True, slots=True)
class AgentIds:
    """What a client said. The first one that is given decides, in this order."""

    user_id: uuid.UUID | None = None
    email: str | None = None
    """Lower case, as users have it."""
    extension_id: str | None = None


@dataclass(frozen=True, slots=True)
class Assignment:
    """The agent, if one was found, and what to tell the client."""

    user_id: uuid.UUID | None = None
    warnings: tuple[dict[str, JsonValue], ...] = ()
    refusal: Refused | None = None
    """Of an unknown `user_id`: the client claims to know it."""


@dataclass(frozen=True, slots=True)
class _Found:
    id: uuid.UUID
    email: str | None
    extension_id: str | None


async def find_agents(
    session: AsyncSession, company_id: uuid.UUID, wanted: Sequence[AgentIds]
) -> list[Assignment]:
    """One for each, with one query for all. An unknown email and an unknown or shared extension
    are no errors: the work must not be lost for them."""
    found = await _find_users(session, company_id, wanted)
    by_email = {user.email: user.id for user in found if user.email}
    by_extension: dict[str, list[uuid.UUID]] = {}
    for user in found:
        if user.extension_id:
            by_extension.setdefault(user.extension_id, []).append(user.id)
    known = {user.id for user in found}
    return [_assign(ids, known, by_email, by_extension) for ids in wanted]


async def _find_users(
    session: AsyncSession, company_id: uuid.UUID, wanted: Sequence[AgentIds]
) -> list[_Found]:
    user = tables.User
    user_ids = {ids.user_id for ids in wanted if ids.user_id}
    emails = {ids.email for ids in wanted if ids.email}
    extensions = {ids.extension_id for ids in wanted if ids.extension_id}
    if not (user_ids or emails or extensions):
        return []
    query = sa.select(col(user.id), col(user.email), col(user.extension_id)).where(
        col(user.company_id) == company_id,
        col(user.disabled_at).is_(None),
        sa.or_(
            col(user.id).in_(user_ids),
            col(user.email).in_(emails),
            col(user.extension_id).in_(extensions),
        ),
    )
    return [_Found(*row) for row in (await session.execute(query)).all()]


def _assign(
    ids: AgentIds,
    known: set[uuid.UUID],
    by_email: dict[str, uuid.UUID],
    by_extension: dict[str, list[uuid.UUID]],
) -> Assignment:
    if ids.user_id is not None:
        if ids.user_id in known:
            return Assignment(ids.user_id)
        detail = "is no user of the company"
        return Assignment(refusal=refuse_field(Problem.USER_NOT_FOUND, "user_id", detail))
    if ids.email is not None:
        if ids.email in by_email:
            return Assignment(by_email[ids.email])
        return _leave_open(WarningCode.AGENT_UNKNOWN, "No user has this agent_email.")
    if ids.extension_id is None:
        return Assignment()
    match by_extension.get(ids.extension_id, []):
        case [user_id]:
            return Assignment(user_id)
        case []:
            return _leave_open(WarningCode.EXTENSION_UNKNOWN, "No user has this extension_id.")
        case _:
            detail = "Several users have this extension_id."
            return _leave_open(WarningCode.EXTENSION_AMBIGUOUS, detail)


def _leave_open(code: WarningCode, detail: str) -> Assignment:
    return Assignment(warnings=(build_warning(code, f"{detail} It stays unassigned."),))
