"""`Idempotency-Key`: the same request again is answered as the first time, and does nothing.

The answer is written in the transaction of what the request did, so the two exist together or
not at all; a request that failed leaves no answer and may be tried again. Two at the same time meet
at the primary key: the second waits for the first and then gives its answer. The janitor removes
answers after a day.
"""

import hashlib
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
from litestar import Request, Response
from parlance.api.db import tables
from parlance.api.db.errors import RowConflict
from parlance.api.db.session import Database
from parlance.api.http.errors import Refused
from parlance.contracts.problems import Problem
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

HEADER = "Idempotency-Key"
MAX_KEY_CHARACTERS = 255
_CONSTRAINT = "pk_idempotency_keys"


@dataclass(frozen=True, slots=True)
class Claim:
    """A request that is to happen only once."""

    company_id: uuid.UUID
    key: str
    request_hash: bytes


def build_claim(
    request: Request[Any, Any, Any], company_id: uuid.UUID, payload: Mapping[str, Any]
) -> Claim | None:
    """The claim of a request with the header; None without it. Raises Refused."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not 1 <= len(key) <= MAX_KEY_CHARACTERS or not key.isprintable():
        detail = f"{HEADER} has 1 to {MAX_KEY_CHARACTERS} printable characters."
        raise Refused(Problem.MALFORMED_REQUEST, detail)
    canonical = msgspec.json.encode([request.url.path, payload], order="sorted")
    return Claim(company_id, key, hashlib.sha256(canonical).digest())


async def answer_once(
    database: Database, claim: Claim | None, answer: Callable[[], Awaitable[Response[Any]]]
) -> Response[Any]:
    """The first answer to this request, or what `answer` makes; it calls `keep_answer` in its
    transaction. Raises Refused when the key stood for something else, and whatever `answer` does.
    """
    if claim is None:
        return await answer()
    known = await _find_answer(database, claim)
    if known is not None:
        return known
    try:
        return await answer()
    except RowConflict as exc:
        if exc.constraint != _CONSTRAINT:
            raise
        known = await _find_answer(database, claim)
        assert known is not None, "another request with this key was faster"
        return known


async def keep_answer(session: AsyncSession, claim: Claim, answer: Response[Any]) -> None:
    """Store an encoded answer. Raises RowConflict, through the session, when there is one."""
    assert isinstance(answer.content, bytes), "it is given out again byte for byte"
    session.add(
        tables.IdempotencyKey(
            company_id=claim.company_id,
            key=claim.key,
            request_hash=claim.request_hash,
            status=answer.status_code,
            headers=dict(answer.headers),
            body=answer.content,
        )
    )
    await session.flush()


async def _find_answer(database: Database, claim: Claim) -> Response[Any] | None:
    """The first answer, if there is one. Raises Refused when the key stood for something else."""
    row = tables.IdempotencyKey
    query = sa.select(row).where(col(row.company_id) == claim.company_id, col(row.key) == claim.key)
    async with database.company_session(claim.company_id) as session:
        found = await session.scalar(query)
    if found is None:
        return None
    if found.request_hash != claim.request_hash:
        raise Refused(Problem.IDEMPOTENCY_MISMATCH)
    headers = {name: str(value) for name, value in found.headers.items()}
    return Response(
        found.body or b"",
        status_code=found.status or 200,
        media_type="application/json",
        headers=headers | {"Idempotency-Replayed": "true"},
    )
