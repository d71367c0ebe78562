"""What each event changes in a call's row. Pure: no queries, no clock; called by `applier`.

Events may come late, twice, or out of order after trouble. Whether one still counts is decided by
`contracts.lifecycle`, for the recorder as for the operator and the worker; `accepts` asks it. Times
are written once. `updated_at` is left to `applier`: it tells when a change was recorded, not when
it happened.
"""

from datetime import datetime

from parlance.api.db import tables
from parlance.api.domain.calls.results.artefacts import Artefacts
from parlance.contracts import lifecycle
from parlance.contracts.analysis.insights import AnalyzerRun
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus import envelopes
from parlance.contracts.bus.calls import EventType
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.calls import CallStatus, Stage
from parlance.contracts.lifecycle import Life, Step
from pydantic import JsonValue

STAGES = (Stage.TRANSCRIBE, Stage.SPEAKERS, Stage.INSIGHTS)

_PENDING, _RUNNING, _COMPLETED, _FAILED = "pending", "running", "completed", "failed"


def accepts(call: tables.Call, envelope: Envelope) -> bool:
    """Whether the event may still change the call."""
    return lifecycle.accepts(
        _life_of(call),
        EventType(envelope.type).step,
        envelope.attempt,
        is_by_recorder=envelopes.is_by_recorder(envelope),
    )


def advance_attempt(call: tables.Call, envelope: Envelope) -> None:
    """The attempt that the call is in after an event that it accepts."""
    step = EventType(envelope.type).step
    call.attempt = lifecycle.advance(_life_of(call), step, envelope.attempt).attempt


def _life_of(call: tables.Call) -> Life:
    """As the row tells it. That a worker has delivered its result is not in the row: the recorder
    either stores the result at once or reports that it cannot."""
    return Life(call.attempt, end=Step(call.status) if call.status.is_terminal else None)


def queue(call: tables.Call, queued: call_events.Queued, at: datetime) -> None:
    """Also fills in what only this event tells of a call that came by kubectl."""
    if call.queued_at is None:
        call.queued_at = at
    if call.source is tables.CallSource.KUBECTL:
        call.calljob_name = queued.name
        call.audio_key = call.audio_key or queued.object_key
        call.audio_url = call.audio_url or queued.uri
        call.sha256 = call.sha256 or queued.sha256
        call.media_type = queued.media_type
        call.channels = queued.channels
        call.language = queued.language
        call.priority = queued.priority


def start(call: tables.Call, started: call_events.Started, at: datetime) -> None:
    call.status = CallStatus.PROCESSING
    call.started_at = call.started_at or at
    call.container = started.container
    call.codec = started.codec
    call.channel_count = started.channels
    call.duration_seconds = started.duration_seconds
    call.audio_key = call.audio_key or started.object_key
    call.model = started.model.model_dump(mode="json")
    call.stages = _mark(call.stages, {Stage.TRANSCRIBE: _RUNNING}, at)


def finish_transcription(
    call: tables.Call, transcribed: call_events.Transcribed, at: datetime
) -> None:
    call.status = CallStatus.PROCESSING
    call.duration_seconds = transcribed.duration_seconds
    call.detected_language = transcribed.language or None
    states = {
        Stage.TRANSCRIBE: _COMPLETED,
        Stage.SPEAKERS: _COMPLETED,
        Stage.INSIGHTS: _RUNNING,
    }
    call.stages = _mark(call.stages, states, at)


def complete(
    call: tables.Call,
    analyzed: call_events.Analyzed,
    found: Artefacts,
    at: datetime,
) -> None:
    transcript, insights = found.transcript, found.insights
    media = transcript.media
    call.status = CallStatus.COMPLETED
    call.percent = 100
    call.container, call.codec = media.container, media.codec
    call.channel_count, call.sample_rate_hz = media.channels, media.sample_rate_hz
    call.duration_seconds = media.duration_seconds
    call.duration_estimated = False
    call.detected_language = transcript.language or None
    call.language_confidence = transcript.language_confidence
    call.role_confidence = transcript.role_confidence
    call.model = transcript.model.model_dump(mode="json")
    call.transcript_key = analyzed.transcript_key
    call.transcript_sha256 = analyzed.transcript_sha256
    call.insights_key = analyzed.insights_key
    call.insights_sha256 = analyzed.insights_sha256
    call.segment_count = len(transcript.segments)
    call.summary = insights.summary.text if insights.summary else None
    call.timings = dict(analyzed.timings)
    call.stages = _mark(call.stages, dict.fromkeys(STAGES, _COMPLETED), at)
    _note_analyzers(call.stages, insights.analyzers)
    _end(call, at)


def fail(call: tables.Call, failed: call_events.Failed, at: datetime) -> None:
    call.status = CallStatus.FAILED
    call.error_code = failed.code[:64]
    call.error_reason = failed.reason[:64]
    call.error_message = failed.message[:1024]
    call.error_retryable = failed.retryable
    call.stages = _mark(call.stages, {failed.stage: _FAILED}, at)
    _end(call, at)


def cancel(call: tables.Call, cancelled: call_events.Cancelled, at: datetime) -> None:
    call.status = CallStatus.CANCELLED
    call.error_reason = cancelled.reason[:64]
    call.error_message = cancelled.message[:1024] or None
    _end(call, at)


def _end(call: tables.Call, at: datetime) -> None:
    call.completed_at = at


def _mark(stages: list[tables.Json], states: dict[Stage, str], at: datetime) -> list[tables.Json]:
    """A new list with these states; what has not been heard of yet is pending."""
    now: JsonValue = at.isoformat()
    known = {str(stage["name"]): stage for stage in stages}
    marked: list[tables.Json] = []
    for stage in dict.fromkeys((*STAGES, *states)):
        entry = dict(known.get(stage.value) or {"name": stage.value, "state": _PENDING})
        state = states.get(stage)
        if state is not None and entry["state"] != state:
            entry["state"] = state
            entry.setdefault("started_at", now)
            if state in (_COMPLETED, _FAILED):
                entry["finished_at"] = now
        marked.append(entry)
    return marked


def _note_analyzers(stages: list[tables.Json], runs: tuple[AnalyzerRun, ...]) -> None:
    """An analyser that failed is named; the stage failed only when none succeeded."""
    broken = [run for run in runs if not run.ok]
    if not broken:
        return
    insights = next(stage for stage in stages if stage["name"] == Stage.INSIGHTS)
    insights["error"] = {run.name: run.error_code or "internal" for run in broken}
    if len(broken) == len(runs):
        insights["state"] = _FAILED
