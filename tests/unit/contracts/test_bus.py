"""Subjects, messages and objects keys: each formatter has a parser that undoes it."""

import json
from datetime import UTC, datetime

import pytest
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus import envelopes, streams, subjects
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.calls import Priority
from parlance.contracts.ids import CompanySlug, new_call_id

ACME = CompanySlug("acme")


def test_an_event_subject_parses_back() -> None:
    call_id = new_call_id()

    parsed = subjects.parse_event(subjects.format_event(ACME, Kind.CALL, call_id, "segment"))

    assert parsed == subjects.EventSubject(ACME, Kind.CALL, call_id, "segment")


@pytest.mark.parametrize("priority", list(Priority))
def test_a_job_subject_parses_back(priority: Priority) -> None:
    assert subjects.parse_job(subjects.format_job(Kind.CALL, priority)) == (Kind.CALL, priority)


@pytest.mark.parametrize("subject", ["", "jobs", "jobs.call", "jobs.nap.bulk", "events.a.call.b.c"])
def test_what_is_no_job_subject_is_refused(subject: str) -> None:
    with pytest.raises(subjects.InvalidSubject):
        subjects.parse_job(subject)


def test_every_event_type_has_exactly_one_kind_of_data() -> None:
    assert set(call_events.DATA_OF) == set(call_events.EventType)
    assert len(set(call_events.DATA_OF.values())) == len(call_events.EventType)


def test_an_event_survives_the_wire() -> None:
    call_id = new_call_id()
    event = call_events.build_event(
        call_events.Cancelled(message="by kubectl"),
        company=ACME,
        call_id=call_id,
        attempt=2,
        at=datetime(2026, 1, 2, tzinfo=UTC),
    )

    read = envelopes.Envelope.model_validate_json(event.model_dump_json())

    assert read == event
    assert envelopes.parse_data(read, call_events.Cancelled).message == "by kubectl"
    assert read.nats_subject == f"events.acme.call.{call_id}.cancelled"
    assert read.id == f"{call_id}.2.cancelled"


def test_a_newer_sender_does_not_break_an_older_reader() -> None:
    event = call_events.build_event(
        call_events.Cancelled(), company=ACME, call_id=new_call_id(), attempt=1
    )
    newer = json.loads(event.model_dump_json()) | {"colour": "blue"}

    assert envelopes.Envelope.model_validate(newer) == event


def test_the_same_window_has_one_id_whoever_does_it() -> None:
    call_id = new_call_id()

    ids = {subjects.format_window_id(call_id, "0123456789abcdef", 7) for _ in range(2)}

    assert ids == {f"{call_id}.01234567.7"}


def test_a_window_that_is_said_again_after_a_reset_has_another_id() -> None:
    call_id = new_call_id()

    ids = [subjects.format_window_id(call_id, "0123456789abcdef", 7, resets) for resets in range(3)]

    assert ids == [
        f"{call_id}.01234567.7",
        f"{call_id}.01234567.1.7",
        f"{call_id}.01234567.2.7",
    ]


def test_the_recorder_is_sent_what_it_writes_only() -> None:
    tokens = {subject.rpartition(".")[2] for subject in streams.RECORDER.filter_subjects}

    assert tokens.isdisjoint({"segment", "reset"})


def test_every_declared_consumer_belongs_to_a_declared_stream() -> None:
    names = {stream.name for stream in streams.STREAMS}

    assert {consumer.stream for consumer in streams.list_consumers()} <= names
    assert all(stream.max_bytes > 0 for stream in streams.STREAMS)
