"""Builds the rows of a result from a worker's artefacts. Pure; called by `records`."""

import uuid
from typing import Any

from parlance.contracts.analysis.insights import Insights
from parlance.contracts.calls import Segment, Transcript


def build_segments(
    company_id: uuid.UUID, call_id: uuid.UUID, transcript: Transcript, insights: Insights
) -> list[dict[str, Any]]:
    """Rows of `call_segments`, in order of start time; sentiment comes from the insights."""
    ordered = sorted(transcript.segments, key=lambda segment: segment.start_seconds)
    return [
        {
            "call_id": call_id,
            "index": index,
            "company_id": company_id,
            **_build_columns(segment, insights),
        }
        for index, segment in enumerate(ordered)
    ]


def _build_columns(segment: Segment, insights: Insights) -> dict[str, Any]:
    sentiment = segment.sentiment or insights.segment_sentiments.get(segment.id)
    return {
        "id": segment.id,
        "channel": segment.channel,
        "speaker": segment.speaker,
        "role": segment.role,
        "start_seconds": segment.start_seconds,
        "end_seconds": segment.end_seconds,
        "text": segment.text,
        "confidence": segment.confidence,
        "words": None
        if segment.words is None
        else [word.model_dump(mode="json", exclude_none=True) for word in segment.words],
        "sentiment": None if sentiment is None else sentiment.model_dump(mode="json"),
    }


def build_insights(
    company_id: uuid.UUID, call_id: uuid.UUID, insights: Insights, attempt: int
) -> dict[str, Any]:
    """The row of `call_insights`. Sentiment of segments is kept with the segments only."""
    data = insights.model_dump(mode="json", exclude={"segment_sentiments"})
    return {
        "call_id": call_id,
        "company_id": company_id,
        "attempt": attempt,
        "profile": insights.profile,
        "data": data,
    }
