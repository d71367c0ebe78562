"""Makes a call of a stored and probed file: one transaction for row, outbox and audit.

After the commit the call is safe: whatever dies, it reaches an end. Called by the routes of
`add-calls` and `addcallurl`.
"""

import pathlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.db.errors import RowConflict
from parlance.api.db.session import Database
from parlance.api.domain.calls import jobs
from parlance.api.domain.calls.uploads import agents, fields
from parlance.api.domain.calls.uploads.fields import CallFields
from parlance.api.domain.calls.uploads.intake import TakenAudio
from parlance.api.http import idempotency
from parlance.api.http.errors import Refused
from parlance.api.http.idempotency import Claim
from parlance.api.identity.keys import Principal
from parlance.contracts.calls import CallStatus
from parlance.contracts.ids import CallId, CompanySlug
from parlance.contracts.problems import Problem, WarningCode
from parlance.media.probe import ProbedMedia
from parlance.media.sniff import Container
from parlance.runtime import telemetry
from prometheus_client import Counter
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

_ACCEPTED = Counter("parlance_calls_accepted", "Calls accepted, by how they came.", ["source"])

_AUDIO_CONSTRAINT = "uq_calls_audio"
_ALIASES = {
    Container.WAV: {"wav", "wave"},
    Container.M4A: {"m4a", "m4b", "mp4", "aac"},
    Container.MP4: {"mp4", "m4v", "m4a", "mov", "3gp"},
    Container.OGG: {"ogg", "oga", "opus"},
    Container.AIFF: {"aif", "aiff", "aifc"},
    Container.WEBM: {"webm", "weba"},
}
"""Endings that are right for a container beside its own."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A call that is about to be."""

    call_id: CallId
    principal: Principal
    fields: CallFields
    audio: TakenAudio
    probed: ProbedMedia
    source: tables.CallSource
    file_name: str | None = None
    url: str | None = None
    warnings: list[dict[str, JsonValue]] = field(default_factory=list)
    claim: Claim | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client will read."""

    headers: dict[str, str]
    body: bytes


Render = Callable[[tables.Call], Answer]


async def accept(
    database: Database, draft: Draft, render: Render, *, on_commit: Callable[[], None]
) -> tuple[tables.Call, Answer]:
    """Write the call, and its answer for those who ask again. `on_commit` is called when all is
    written and the commit follows.

    Raises Refused for a duplicate or an unknown user, RowConflict when the same request was
    faster (see `idempotency`), DatabaseUnavailable.
    """
    company_id = draft.principal.company_id
    try:
        async with database.company_session(company_id) as session:
            call, answer = await _write(session, draft, render)
            on_commit()
    except RowConflict as exc:
        if exc.constraint != _AUDIO_CONSTRAINT:
            raise
        raise await _refuse_duplicate(database, company_id, draft.audio.sha256) from exc
    _ACCEPTED.labels(draft.source).inc()
    return call, answer


async def _write(session: AsyncSession, draft: Draft, render: Render) -> tuple[tables.Call, Answer]:
    principal, wanted = draft.principal, draft.fields
    assignment = await agents.find_agent(session, principal.company_id, wanted)
    warnings = [
        *draft.warnings,
        *_describe_media(draft),
        *assignment.warnings,
        *await _check_order(session, principal.company_id, wanted.order_id),
    ]
    call = build_call(draft, assignment.user_id, warnings)
    answer = render(call)
    if draft.claim is not None:
        await idempotency.add_answer(
            session, draft.claim, status=201, headers=answer.headers, body=answer.body
        )
    session.add(call)
    await session.flush()  # before the outbox: a conflict shows here
    jobs.add(
        session,
        call,
        CompanySlug(principal.company_slug),
        traceparent=telemetry.current_trace().get("traceparent"),
    )
    session.add(
        tables.AuditEntry(
            company_id=principal.company_id,
            actor=f"key:{principal.key_id}",
            action="call.created",
            subject=draft.call_id,
            detail={"sha256": draft.audio.sha256, "size_bytes": draft.audio.size_bytes},
        )
    )
    return call, answer


def build_call(
    draft: Draft, user_id: uuid.UUID | None, warnings: list[dict[str, JsonValue]]
) -> tables.Call:
    """The row of a new call."""
    wanted, audio, info = draft.fields, draft.audio, draft.probed.info
    return tables.Call(
        id=uuid.UUID(draft.call_id),
        company_id=draft.principal.company_id,
        status=CallStatus.QUEUED,
        customer_name=wanted.customer_name,
        user_id=user_id,
        extension_id=wanted.extension_id,
        worker_id=wanted.order_id,
        external_id=wanted.external_id,
        recorded_at=wanted.recorded_at,
        direction=wanted.direction,
        extra=wanted.metadata,
        channels=wanted.channels,
        language=wanted.language,
        priority=wanted.priority,
        redact_pii=wanted.redact_pii,
        allow_duplicate=wanted.allow_duplicate,
        source=draft.source,
        original_name=draft.file_name,
        audio_url=draft.url,
        audio_key=audio.key,
        sha256=audio.sha256,
        size_bytes=audio.size_bytes,
        media_type=audio.container.media_type,
        warnings=warnings,
        container=info.container,
        codec=info.codec,
        channel_count=info.channels,
        sample_rate_hz=info.sample_rate_hz,
        duration_seconds=info.duration_seconds,
        duration_estimated=info.duration_estimated,
    )


_DETAILS = {
    WarningCode.TRUNCATED_AUDIO: "The file is cut or damaged; what can be decoded is used.",
    WarningCode.DURATION_ESTIMATED: "The duration is estimated until the file is decoded.",
}


def _describe_media(draft: Draft) -> list[dict[str, JsonValue]]:
    found = [fields.build_warning(code, _DETAILS[code]) for code in draft.probed.warnings]
    container = draft.audio.container
    ending = pathlib.PurePosixPath(draft.file_name or "").suffix.lower().lstrip(".")
    if ending and ending not in _ALIASES.get(container, {container.extension}):
        detail = f"The name ends with .{ending[:16]}, the file is {container.media_type}."
        found.append(fields.build_warning(WarningCode.TYPE_MISMATCH, detail))
    return found


async def _check_order(
    session: AsyncSession, company_id: uuid.UUID, order_id: str | None
) -> list[dict[str, JsonValue]]:
    """Several legs of one order are usual, so a repeat is only mentioned."""
    if order_id is None:
        return []
    query = sa.select(col(tables.Call.id)).where(
        col(tables.Call.company_id) == company_id, col(tables.Call.worker_id) == order_id
    )
    if await session.scalar(query.limit(1)) is None:
        return []
    detail = "Another call has this order_id."
    return [fields.build_warning(WarningCode.ORDER_ID_REPEATED, detail)]


async def _refuse_duplicate(database: Database, company_id: uuid.UUID, sha256: str) -> Refused:
    query = sa.select(col(tables.Call.id)).where(
        col(tables.Call.company_id) == company_id,
        col(tables.Call.sha256) == sha256,
        col(tables.Call.allow_duplicate).is_(False),
        col(tables.Call.status).not_in((CallStatus.FAILED, CallStatus.CANCELLED)),
    )
    async with database.company_session(company_id) as session:
        existing = await session.scalar(query)
    return Refused(
        Problem.DUPLICATE_CALL,
        "The company has uploaded this audio before; allow_duplicate=true accepts it again.",
        members={"existing_call_id": str(existing) if existing else None},
    )
