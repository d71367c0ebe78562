"""`/health/*`, `/metrics` and `GET /api/limits`: for machines that run or use the API."""

from typing import Any

import msgspec
from litestar import Request, Response, get
from parlance.api.domain.calls import queries
from parlance.api.domain.calls.uploads import fields
from parlance.api.events import waiting
from parlance.api.health.checks import Readiness
from parlance.api.http.multipart import FormLimits
from parlance.api.identity.dependencies import PartsIn
from parlance.media.limits import MediaLimits
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


class Health(msgspec.Struct, frozen=True):
    """`ok`, `degraded` (something optional is away), `failing` or `stopping`."""

    status: str
    parts: dict[str, str] = {}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Every limit that a client can run into."""

    max_upload_bytes: int
    max_form_text_bytes: int
    max_form_parts: int
    max_form_header_bytes: int
    max_metadata_bytes: int
    max_name_characters: int
    max_id_characters: int
    max_page_items: int
    max_wait_seconds: int
    min_audio_seconds: float
    max_audio_seconds: float
    max_audio_channels: int
    min_sample_rate_hz: int
    max_sample_rate_hz: int
    fetch_timeout_seconds: float


@get("/health/live", operation_id="healthLive", summary="Is the process alive", tags=["Health"])
async def health_live() -> Health:
    """Answers as long as the event loop turns."""
    return Health("ok")


@get("/health/startup", operation_id="healthStartup", summary="Has it started", tags=["Health"])
async def health_startup() -> Health:
    """Answers once everything is opened."""
    return Health("ok")


@get("/health/ready", operation_id="healthReady", summary="Can it work", tags=["Health"])
async def health_ready(request: Request[Any, Any, Any]) -> Response[Health]:
    """503 without Postgres or the object store, or while stopping; `degraded` without NATS."""
    readiness: Readiness = request.app.state["readiness"]
    report = await readiness.check()
    if report.is_stopping:
        status = "stopping"
    elif not report.is_ready:
        status = "failing"
    else:
        status = "ok" if set(report.optional.values()) == {"ok"} else "degraded"
    return Response(
        Health(status, {**report.required, **report.optional}),
        status_code=200 if report.is_ready else 503,
        headers={"Cache-Control": "no-store"},
    )


@get("/metrics", include_in_schema=False)
async def metrics() -> Response[bytes]:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@get("/api/limits", operation_id="getLimits", summary="Get the limits", tags=["Limits"])
async def get_limits(parts: PartsIn) -> Limits:
    """Needs no key: a client may look before it has one."""
    form, media = FormLimits(parts.settings.http.max_upload_bytes), MediaLimits()
    return Limits(
        max_upload_bytes=form.file_bytes,
        max_form_text_bytes=form.text_bytes,
        max_form_parts=form.parts,
        max_form_header_bytes=form.header_bytes,
        max_metadata_bytes=fields.MAX_METADATA_BYTES,
        max_name_characters=fields.MAX_NAME_CHARACTERS,
        max_id_characters=fields.MAX_ID_CHARACTERS,
        max_page_items=queries.MAX_PAGE,
        max_wait_seconds=waiting.MAX_WAIT_SECONDS,
        min_audio_seconds=media.min_seconds,
        max_audio_seconds=media.max_seconds,
        max_audio_channels=media.max_channels,
        min_sample_rate_hz=media.min_sample_rate_hz,
        max_sample_rate_hz=media.max_sample_rate_hz,
        fetch_timeout_seconds=parts.settings.http.fetch_timeout_seconds,
    )
