"""Rows turned into what clients see. Pure; called by `reading`, the routes and `uploads`."""

from collections.abc import Sequence
from urllib.parse import urljoin

from msgspec import UNSET
from parlance.api.db import tables
from parlance.api.domain.calls import schemas
from parlance.api.domain.search.highlights import Highlight
from parlance.contracts import calls as contract
from parlance.contracts.analysis.insights import Insights
from parlance.contracts.calls import ModelInfo


def build_call(
    row: tables.Call,
    agent: tables.User | None,
    base_url: str,
    *,
    segments: Sequence[tables.CallSegment] | None = None,
    insights: tables.CallInsights | None = None,
    highlights: list[Highlight] | None = None,
    is_full: bool = False,
) -> schemas.Call:
    """The call object; `is_full` adds text, segments and insights."""
    found = [build_segment(segment) for segment in segments] if segments is not None else None
    return schemas.Call(
        id=str(row.id),
        status=row.status,
        attempt=row.attempt,
        percent=row.percent,
        stages=list(row.stages),
        source=row.source,
        priority=row.priority,
        channels=row.channels,
        duration_seconds=row.duration_seconds,
        duration_estimated=row.duration_estimated,
        media=_build_media(row),
        language=row.detected_language,
        language_requested=row.language,
        language_confidence=row.language_confidence,
        role_confidence=row.role_confidence,
        agent=_build_agent(agent),
        extension_id=row.extension_id,
        customer_name=row.customer_name,
        worker_id=row.worker_id,
        external_id=row.external_id,
        recorded_at=row.recorded_at,
        direction=row.direction,
        metadata=dict(row.extra),
        redact_pii=row.redact_pii,
        summary=row.summary,
        segment_count=row.segment_count,
        model=build_model(row),
        timings={name: float(str(value)) for name, value in row.timings.items()},
        warnings=build_notices(row),
        error=_build_failure(row),
        audio_url=format_audio_url(base_url, row),
        created_at=row.created_at,
        updated_at=row.updated_at,
        queued_at=row.queued_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        text=_join_text(found) if is_full else UNSET,
        segments=found if is_full else UNSET,
        insights=_build_insights(insights) if is_full else UNSET,
        highlights=UNSET if highlights is None else highlights,
    )


def build_segment(row: tables.CallSegment) -> schemas.Segment:
    return schemas.Segment(
        index=row.index,
        id=row.id,
        channel=row.channel,
        speaker=row.speaker,
        role=row.role,
        start_seconds=row.start_seconds,
        end_seconds=row.end_seconds,
        text=row.text,
        confidence=row.confidence,
        words=row.words,
        sentiment=row.sentiment,
    )


def build_transcript(
    row: tables.Call, segments: Sequence[tables.CallSegment]
) -> schemas.Transcript:
    found = [build_segment(segment) for segment in segments]
    return schemas.Transcript(
        call_id=str(row.id),
        language=row.detected_language,
        language_confidence=row.language_confidence,
        role_confidence=row.role_confidence,
        duration_seconds=row.duration_seconds,
        model=build_model(row),
        text=_join_text(found) or "",
        segments=found,
    )


def build_spoken(row: tables.CallSegment) -> contract.Segment:
    """For the text formats, which know the contract only."""
    return contract.Segment(
        id=row.id,
        channel=row.channel,
        speaker=row.speaker,
        role=row.role,
        start_seconds=row.start_seconds,
        end_seconds=row.end_seconds,
        text=row.text,
    )


def build_notices(row: tables.Call) -> list[schemas.Notice]:
    return [schemas.Notice(str(item["code"]), str(item["detail"])) for item in row.warnings]


def build_model(row: tables.Call) -> ModelInfo | None:
    return ModelInfo.model_validate(row.model) if row.model else None


def format_audio_url(base_url: str, row: tables.Call) -> str:
    return urljoin(base_url, f"/api/calls/{row.id}/audio")


def _build_media(row: tables.Call) -> schemas.Media:
    return schemas.Media(
        container=row.container,
        codec=row.codec,
        channel_count=row.channel_count,
        sample_rate_hz=row.sample_rate_hz,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        media_type=row.media_type,
        file_name=row.original_name,
    )


def _build_agent(user: tables.User | None) -> schemas.Agent | None:
    return schemas.Agent(str(user.id), user.name, user.extension_id) if user else None


def _build_failure(row: tables.Call) -> schemas.CallFailure | None:
    if row.error_code is None:
        return None
    return schemas.CallFailure(
        code=row.error_code,
        message=row.error_message or "",
        reason=row.error_reason,
        retryable=bool(row.error_retryable),
    )


def _build_insights(row: tables.CallInsights | None) -> Insights | None:
    return Insights.model_validate(row.data) if row else None


def _join_text(segments: Sequence[schemas.Segment] | None) -> str | None:
    return None if segments is None else " ".join(segment.text for segment in segments)
