"""Subjects, messages and objects keys: each formatter has a parser that undoes it."""

import itertools
import json
from datetime import UTC, datetime
from types import ModuleType

import pytest
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus import envelopes, streams, subjects
from parlance.contracts.bus import tickets as ticket_events
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.bus.tickets import Carried, EventType, Result
from parlance.contracts.calls import Priority
from parlance.contracts.ids import CompanySlug, TicketId, new_call_id
from parlance.contracts.values import Value
from pydantic import ValidationError

ACME = CompanySlug("acme")
ID = TicketId("0192f0c1-2345-7abc-8def-0123456789ab")
OTHER_ID = TicketId("0192f0c1-2345-7abc-8def-0123456789ac")


def fits(subject: str, wanted: str) -> bool:
    """As NATS compares them; `>` is used by no filter here."""
    pairs = itertools.zip_longest(subject.split("."), wanted.split("."))
    return all(token == filter_ or (token and filter_ == "*") for token, filter_ in pairs)


def test_an_event_subject_parses_back() -> None:
    call_id = new_call_id()

    parsed = subjects.parse_event(subjects.format_event(ACME, Kind.CALL, call_id, "segment"))

    assert parsed == subjects.EventSubject(ACME, Kind.CALL, call_id, "segment")


@pytest.mark.parametrize("kind", [Kind.CALL, Kind.TICKET])
@pytest.mark.parametrize("priority", list(Priority))
def test_a_job_subject_parses_back(kind: Kind, priority: Priority) -> None:
    assert subjects.parse_job(subjects.format_job(kind, priority, ID)) == (kind, priority)


def test_the_job_of_a_ticket_has_a_subject_of_its_own_and_that_of_a_call_has_not() -> None:
    ticket = subjects.format_job(Kind.TICKET, Priority.BULK, ID)
    call = subjects.format_job(Kind.CALL, Priority.BULK, ID)

    assert (ticket, call) == (f"jobs.ticket.bulk.{ID}", "jobs.call.bulk")


@pytest.mark.parametrize("kind", [Kind.CALL, Kind.TICKET])
def test_a_lane_has_the_jobs_of_its_kind_and_priority_only(kind: Kind) -> None:
    wanted = subjects.format_jobs_of_lane(kind, Priority.STANDARD)
    found = [
        (other, priority)
        for other in (Kind.CALL, Kind.TICKET)
        for priority in Priority
        if fits(subjects.format_job(other, priority, ID), wanted)
    ]

    assert found == [(kind, Priority.STANDARD)]


def test_the_jobs_of_a_ticket_are_found_in_every_lane_and_are_its_own() -> None:
    wanted = subjects.format_jobs_of(Kind.TICKET, ID)

    for priority in Priority:
        assert fits(subjects.format_job(Kind.TICKET, priority, ID), wanted)
        assert not fits(subjects.format_job(Kind.TICKET, priority, OTHER_ID), wanted)


def test_the_jobs_of_one_call_cannot_be_named() -> None:
    """They share a subject with those of other calls: a purge would take these along."""
    with pytest.raises(subjects.InvalidSubject):
        subjects.format_jobs_of(Kind.CALL, ID)


def test_the_recorder_is_sent_the_results_of_tickets_of_every_company() -> None:
    [wanted] = streams.TICKET_RESULTS.filter_subjects

    for company in (ACME, CompanySlug("globex")):
        assert fits(subjects.format_result(company, Kind.TICKET, ID), wanted)
    assert not fits(subjects.format_result(ACME, Kind.CALL, ID), wanted)


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "jobs",
        "jobs.call",
        "jobs.nap.bulk",
        "events.a.call.b.c",
        f"jobs.call.bulk.{ID}",
        "jobs.ticket.bulk",
        f"jobs.ticket.bulk.{ID}.x",
    ],
)
def test_what_is_no_job_subject_is_refused(subject: str) -> None:
    with pytest.raises(subjects.InvalidSubject):
        subjects.parse_job(subject)


@pytest.mark.parametrize("kind", [call_events, ticket_events])
def test_every_event_type_has_exactly_one_kind_of_data(kind: ModuleType) -> None:
    assert set(kind.DATA_OF) == set(kind.EventType)
    assert len(set(kind.DATA_OF.values())) == len(kind.EventType)


def test_a_result_is_no_event() -> None:
    """Nothing that clients read may carry a conversation."""
    assert ticket_events.RESULT_TYPE not in ticket_events.EVENTS.data_of
    assert ticket_events.RESULT_TYPE not in ticket_events.EVENTS.step_of


def test_results_of_one_attempt_have_one_id_whoever_sends_them() -> None:
    found = [
        ticket_events.EVENTS.build_result(
            Result(insights=Carried(content=content), seconds=seconds),
            company=ACME,
            subject=ID,
            attempt=2,
            at=datetime(2026, 1, 2, tzinfo=UTC),
        )
        for content, seconds in (("{}", 1.0), ("[]", 2.0))
    ]

    assert [(each.kind, each.id) for each in found] == [("ticket", f"{ID}.2.result")] * 2
    assert found[0].data == {"insights": {"content": "{}"}, "seconds": 1.0, "timings": {}}


@pytest.mark.parametrize("values", [{"content": "{}"}, {"object_key": "k", "sha256": "s"}])
def test_a_document_travels_in_one_way(values: dict[str, str]) -> None:
    assert Carried(**values).model_dump(exclude_none=True) == values


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"object_key": "k"},
        {"sha256": "s"},
        {"content": "{}", "object_key": "k", "sha256": "s"},
        {"content": "{}", "object_key": "k"},
    ],
)
def test_a_document_that_travels_in_no_way_or_in_both_is_refused(values: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Carried(**values)


@pytest.mark.parametrize(
    "data",
    [
        b'{"document": {"content": "My secret", "object_key": "My secret"}}',
        b'{"document": "My secret", "attempt": "My secret"}',
        b'"My secret',
    ],
)
def test_an_error_about_a_message_does_not_repeat_what_it_carries(data: bytes) -> None:
    with pytest.raises(ValidationError) as caught:
        ticket_events.TicketDispatch.model_validate_json(data)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("data", [ticket_events.Analyzed(), ticket_events.Completed()])
def test_the_end_of_an_analysis_says_nothing_of_what_was_found(data: Value) -> None:
    assert set(type(data).model_fields) <= {"timings"}


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


def test_of_a_ticket_the_recorder_is_sent_ends_and_signs_of_life() -> None:
    tokens = {subject.rpartition(".")[2] for subject in streams.TICKET_RECORDER.filter_subjects}

    assert tokens == {
        type_.token for type_ in (EventType.WAITING, EventType.FAILED, EventType.CANCELLED)
    }


def test_every_declared_consumer_belongs_to_a_declared_stream() -> None:
    names = {stream.name for stream in streams.STREAMS}

    assert {consumer.stream for consumer in streams.list_consumers()} <= names
    assert all(stream.max_bytes > 0 for stream in streams.STREAMS)
