"""Which user a call belongs to, from the ids that a client gave."""

import uuid
from dataclasses import dataclass

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.calls.uploads import fields
from parlance.api.domain.calls.uploads.fields import CallFields
from parlance.api.http.errors import refuse_field
from parlance.contracts.problems import Problem, WarningCode
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col


@dataclass(frozen=True, slots=True)
class Assignment:
    """The agent, if one was found, and what to tell the client."""

    user_id: uuid.UUID | None = None
    warnings: tuple[dict[str, JsonValue], ...] = ()


async def find_agent(
    session: AsyncSession, company_id: uuid.UUID, wanted: CallFields
) -> Assignment:
    """`user_id` decides; an unknown one is an error, since the client claims to know it. An
    unknown or shared extension is not: the call must not be lost for it."""
    if wanted.user_id is not None:
        return await _find_user(session, company_id, wanted.user_id)
    if wanted.extension_id is not None:
        return await _find_extension(session, company_id, wanted.extension_id)
    return Assignment()


async def _find_user(
    session: AsyncSession, company_id: uuid.UUID, user_id: uuid.UUID
) -> Assignment:
    query = _active_users(company_id).where(col(tables.User.id) == user_id)
    if await session.scalar(query) is None:
        raise refuse_field(Problem.USER_NOT_FOUND, "user_id", "is no user of the company")
    return Assignment(user_id)


async def _find_extension(
    session: AsyncSession, company_id: uuid.UUID, extension_id: str
) -> Assignment:
    query = _active_users(company_id).where(col(tables.User.extension_id) == extension_id).limit(2)
    found = (await session.scalars(query)).all()
    if len(found) == 1:
        return Assignment(found[0])
    code, detail = WarningCode.EXTENSION_UNKNOWN, "No user has this extension_id."
    if found:
        code, detail = WarningCode.EXTENSION_AMBIGUOUS, "Several users have this extension_id."
    return Assignment(warnings=(fields.build_warning(code, f"{detail} The call is unassigned."),))


def _active_users(company_id: uuid.UUID) -> sa.Select[uuid.UUID]:
    return sa.select(col(tables.User.id)).where(
        col(tables.User.company_id) == company_id, col(tables.User.disabled_at).is_(None)
    )
