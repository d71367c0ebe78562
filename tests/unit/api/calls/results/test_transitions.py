"""A call's row only moves forward, whatever comes late or twice."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from parlance.api.db import tables
from parlance.api.domain.calls.results import transitions
from parlance.api.domain.calls.results.artefacts import Artefacts
from parlance.contracts import ids
from parlance.contracts.analysis import insights
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.calls import (
    CallStatus,
    MediaInfo,
    ModelInfo,
    Stage,
    Transcript,
)
from parlance.contracts.ids import CompanySlug

AT = datetime(2026, 1, 1, tzinfo=UTC)
MODEL = ModelInfo(name="tiny.en", hash="abc")
ANALYZED = call_events.Analyzed(
    transcript_key="t",
    transcript_sha256="1",
    insights_key="i",
    insights_sha256="2",
    segments=0,
    duration_seconds=10,
)


def build_call(**values: Any) -> tables.Call:
    return tables.Call(company_id=uuid.uuid4(), **values)


def build_started() -> call_events.Started:
    return call_events.Started(
        worker="w", container="wav", codec="pcm", channels=2, duration_seconds=9.5, model=MODEL
    )


def build_artefacts(*runs: insights.AnalyzerRun) -> Artefacts:
    media = MediaInfo(
        container="wav", codec="pcm", channels=2, sample_rate_hz=8000, duration_seconds=10
    )
    transcript = Transcript(
        call_id="c", attempt=1, language="en", media=media, model=MODEL, segments=(), speech=()
    )
    return Artefacts(transcript, insights.Insights(call_id="c", attempt=1, analyzers=runs))


def states(call: tables.Call) -> list[object]:
    return [stage["state"] for stage in call.stages]


def build_event(data: call_events.EventData, attempt: int) -> Envelope:
    return call_events.build_event(
        data, company=CompanySlug("acme"), call_id=ids.new_call_id(), attempt=attempt
    )


@pytest.mark.parametrize("status", [status for status in CallStatus if status.is_terminal])
def test_a_terminal_call_is_closed_to_every_attempt(status: CallStatus) -> None:
    call = build_call(status=status, attempt=1)

    assert not transitions.accepts(call, build_event(build_started(), 9))


@pytest.mark.parametrize(("attempt", "is_open"), [(1, False), (2, True), (3, True)])
def test_an_older_attempt_changes_nothing(attempt: int, is_open: bool) -> None:
    event = build_event(build_started(), attempt)

    assert transitions.accepts(build_call(attempt=2), event) is is_open


def test_what_a_worker_says_raises_the_attempt() -> None:
    call = build_call(attempt=1)
    transitions.advance_attempt(call, build_event(build_started(), 2))

    assert call.attempt == 2


def test_times_are_written_once() -> None:
    call = build_call()
    transitions.start(call, build_started(), AT)
    transitions.start(call, build_started(), AT + timedelta(seconds=60))

    assert call.started_at == AT


def test_queued_does_not_touch_what_the_api_knows() -> None:
    call = build_call(audio_key="mine", language="de")
    queued = call_events.Queued(name="x", namespace="n", uid="u", object_key="other")
    transitions.queue(call, queued, AT)

    assert (call.audio_key, call.language, call.calljob_name) == ("mine", "de", None)


def test_stages_follow_the_events() -> None:
    call = build_call()
    transitions.start(call, build_started(), AT)
    assert states(call) == ["running", "pending", "pending"]

    transcribed = call_events.Transcribed(
        object_key="t", sha256="1", segments=1, duration_seconds=10, language="en", model=MODEL
    )
    transitions.finish_transcription(call, transcribed, AT)
    assert states(call) == ["completed", "completed", "running"]

    transitions.complete(call, ANALYZED, build_artefacts(), AT)
    assert states(call) == ["completed", "completed", "completed"]
    assert call.stages[0]["finished_at"] == AT.isoformat()


def test_one_broken_analyser_is_named_but_fails_nothing() -> None:
    call = build_call()
    good = insights.AnalyzerRun(name="metrics", version="1", ok=True, seconds=0.1)
    bad = insights.AnalyzerRun(
        name="sentiment", version="1", ok=False, seconds=0.1, error_code="crashed"
    )
    transitions.complete(call, ANALYZED, build_artefacts(good, bad), AT)

    assert call.status is CallStatus.COMPLETED
    assert call.stages[2]["state"] == "completed"
    assert call.stages[2]["error"] == {"sentiment": "crashed"}


def test_when_every_analyser_broke_the_stage_failed_and_the_call_did_not() -> None:
    call = build_call()
    bad = insights.AnalyzerRun(name="metrics", version="1", ok=False, seconds=0.1)
    transitions.complete(call, ANALYZED, build_artefacts(bad), AT)

    assert call.status is CallStatus.COMPLETED
    assert states(call) == ["completed", "completed", "failed"]


def test_a_failure_marks_its_stage() -> None:
    call = build_call()
    transitions.start(call, build_started(), AT)
    failed = call_events.Failed(
        reason="InferenceFailed", code="inference_failed", message="m" * 2000,
        stage=Stage.TRANSCRIBE, retryable=True,
    )  # fmt: skip
    transitions.fail(call, failed, AT)

    assert states(call) == ["failed", "pending", "pending"]
    assert (call.completed_at, len(call.error_message or "")) == (AT, 1024)
