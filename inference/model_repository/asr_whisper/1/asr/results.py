"""The RESULT tensor: one JSON object per window. Its reader is the worker."""

import json
from dataclasses import dataclass
from typing import Any

from asr import guards
from asr.engine import Segment, Transcript


@dataclass(frozen=True)
class Timing:
    """Where the time of one request went; whole batches are timed, not windows."""

    queue_us: int
    """From the client's `sent_unix_seconds` to the decode; 0 when the client did not say."""
    compute_us: int


def format_result(transcript: Transcript, timing: Timing, model: str, digest: str) -> bytes:
    """One transcript as compact JSON in UTF-8."""
    values = {
        "text": transcript.text,
        "segments": [_build_segment(segment) for segment in transcript.segments],
        "language": transcript.language,
        "language_confidence": transcript.language_confidence,
        "avg_logprob": round(transcript.avg_logprob, 4),
        "no_speech_prob": round(transcript.no_speech_prob, 4),
        "compression_ratio": round(guards.compression_ratio(transcript.text), 3),
        "temperature": transcript.temperature,
        "guard": transcript.guard.value,
        "guard_reason": transcript.guard_reason,
        "dropped_text": transcript.dropped_text,
        "queue_us": timing.queue_us,
        "compute_us": timing.compute_us,
        "batch": transcript.batch,
        "model": model,
        "model_hash": digest,
    }
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def _build_segment(segment: Segment) -> dict[str, Any]:
    values: dict[str, Any] = {
        "start_seconds": segment.start_seconds,
        "end_seconds": segment.end_seconds,
        "text": segment.text,
    }
    if segment.words:
        values["words"] = [
            {
                "text": word.text,
                "start_seconds": word.start_seconds,
                "end_seconds": word.end_seconds,
                "probability": round(word.probability, 4),
            }
            for word in segment.words
        ]
    return values
