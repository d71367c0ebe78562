"""Makes a call of an upload: one transaction for row, outbox and audit.

After the commit the call is safe: whatever dies, it reaches an end. Called by the routes.
"""

import pathlib
import time
import uuid

import msgspec
import sqlalchemy as sa
from litestar import Response
from litestar.background_tasks import BackgroundTask
from parlance.api.db import tables
from parlance.api.db.errors import RowConflict
from parlance.api.db.session import Database
from parlance.api.domain.calls import jobs, schemas, views
from parlance.api.domain.calls.uploads import fetching
from parlance.api.domain.calls.uploads.fetching import UrlFetcher
from parlance.api.domain.calls.uploads.intake import Intake, TakenAudio
from parlance.api.domain.calls.uploads.upload import Upload
from parlance.api.domain.company import agents
from parlance.api.domain.company.agents import AgentIds
from parlance.api.http import fields as http_fields
from parlance.api.http import idempotency
from parlance.api.http.errors import Refused
from parlance.api.outbox.relay import Relay
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.calls import CallStatus
from parlance.contracts.problems import Problem, WarningCode
from parlance.media.probe import ProbedMedia
from parlance.media.sniff import Container
from parlance.runtime import telemetry
from prometheus_client import Counter
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

_ACCEPTED = Counter("parlance_calls_accepted", "Calls accepted, by how they came.", ["source"])

MESSAGE = "Call uploaded successfully and queued for processing"
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


class Acceptor:
    """One per process."""

    def __init__(
        self, database: Database, intake: Intake, fetcher: UrlFetcher, relay: Relay
    ) -> None:
        self._database = database
        self._intake = intake
        self._fetcher = fetcher
        self._relay = relay

    async def accept(self, upload: Upload) -> Response[schemas.CallAccepted]:
        """The 201 of a new call, or the answer that the same request had before.

        Raises Refused for unusable audio, a duplicate or an unknown user, DatabaseUnavailable.
        """
        return await idempotency.answer_once(
            self._database, upload.claim, lambda: self._make_call(upload)
        )

    async def _make_call(self, upload: Upload) -> Response[schemas.CallAccepted]:
        """Fetch the file if it is not here, and look into it; then all that the row needs is
        known."""
        if upload.url is not None:
            await self._fetcher.take(upload, upload.url)
        audio = upload.holding.audio
        assert audio is not None, "it came with the request or was fetched"
        probed = await self._intake.examine(audio, upload.audio_field)
        call, answer = await self._commit(upload, audio, probed)
        _ACCEPTED.labels(call.source).inc()
        # The call is committed: the cluster may be away, the recorder relays what this does not.
        answer.background = BackgroundTask(self._relay.relay_one, Kind.CALL, call.id)
        return answer

    async def _commit(
        self, upload: Upload, audio: TakenAudio, probed: ProbedMedia
    ) -> tuple[tables.Call, Response[schemas.CallAccepted]]:
        company_id = upload.principal.company_id
        try:
            async with self._database.company_session(company_id) as session:
                written = await _write(session, upload, audio, probed)
                upload.holding.note_commit()
        except RowConflict as exc:
            upload.holding.note_rollback()
            if exc.constraint != _AUDIO_CONSTRAINT:
                raise
            raise await _refuse_duplicate(self._database, company_id, audio.sha256) from exc
        return written


async def _write(
    session: AsyncSession, upload: Upload, audio: TakenAudio, probed: ProbedMedia
) -> tuple[tables.Call, Response[schemas.CallAccepted]]:
    principal, wanted = upload.principal, upload.fields
    agent = AgentIds(user_id=wanted.user_id, extension_id=wanted.extension_id)
    [assignment] = await agents.find_agents(session, principal.company_id, [agent])
    if assignment.refusal is not None:
        raise assignment.refusal
    call = build_call(upload, audio, probed)
    call.user_id = assignment.user_id
    call.warnings = [
        *upload.warnings,
        *_describe_media(audio, probed, call.original_name),
        *assignment.warnings,
        *await _check_order(session, principal.company_id, wanted.order_id),
    ]
    answer = build_answer(upload, call)
    if upload.claim is not None:
        await idempotency.keep_answer(session, upload.claim, answer)
    session.add(call)
    await session.flush()  # before the outbox: a conflict shows here
    traceparent = telemetry.current_trace().get("traceparent")
    jobs.add(session, call, principal.company_slug, traceparent=traceparent)
    session.add(
        tables.AuditEntry(
            company_id=principal.company_id,
            actor=principal.actor,
            action="call.created",
            subject=upload.call_id,
            detail={"sha256": audio.sha256, "size_bytes": audio.size_bytes},
        )
    )
    return call, answer


def build_call(upload: Upload, audio: TakenAudio, probed: ProbedMedia) -> tables.Call:
    """The row of a new call, but for what only the database can tell: agent and warnings."""
    wanted, info, url = upload.fields, probed.info, upload.url
    return tables.Call(
        id=uuid.UUID(upload.call_id),
        company_id=upload.principal.company_id,
        status=CallStatus.QUEUED,
        customer_name=wanted.customer_name,
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
        source=upload.source,
        original_name=fetching.format_file_name(url) if url else upload.file_name,
        audio_url=fetching.strip_url(url) if url else None,
        audio_key=audio.key,
        sha256=audio.sha256,
        size_bytes=audio.size_bytes,
        media_type=audio.container.media_type,
        container=info.container,
        codec=info.codec,
        channel_count=info.channels,
        sample_rate_hz=info.sample_rate_hz,
        duration_seconds=info.duration_seconds,
        duration_estimated=info.duration_estimated,
    )


def build_answer(upload: Upload, call: tables.Call) -> Response[schemas.CallAccepted]:
    """The 201, encoded: the same bytes are kept for whoever asks again."""
    accepted = schemas.CallAccepted(
        success=True,
        call_id=str(call.id),
        message=MESSAGE,
        audio_url=views.format_audio_url(upload.base_url, call),
        duration_seconds=round(call.duration_seconds or 0.0),
        processing_time_ms=round((time.monotonic() - upload.started_seconds) * 1000),
        warnings=views.build_notices(call) or msgspec.UNSET,
    )
    return Response(
        msgspec.json.encode(accepted),  # type: ignore[arg-type]  # encoded already
        status_code=201,
        media_type="application/json",
        headers={"Location": f"/api/calls/{call.id}"},
    )


_DETAILS = {
    WarningCode.TRUNCATED_AUDIO: "The file is cut or damaged; what can be decoded is used.",
    WarningCode.DURATION_ESTIMATED: "The duration is estimated until the file is decoded.",
}


def _describe_media(
    audio: TakenAudio, probed: ProbedMedia, file_name: str | None
) -> list[dict[str, JsonValue]]:
    found = [http_fields.build_warning(code, _DETAILS[code]) for code in probed.warnings]
    container = audio.container
    ending = pathlib.PurePosixPath(file_name or "").suffix.lower().lstrip(".")
    if ending and ending not in _ALIASES.get(container, {container.extension}):
        detail = f"The name ends with .{ending[:16]}, the file is {container.media_type}."
        found.append(http_fields.build_warning(WarningCode.TYPE_MISMATCH, detail))
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
    return [http_fields.build_warning(WarningCode.ORDER_ID_REPEATED, detail)]


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
