"""One ticket: every mistake at once, and what is stored of a right one."""

import itertools
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parlance.api.domain.tickets.input import conversations, parsing, times
from parlance.api.domain.tickets.input.parsing import ParsedTicket
from parlance.api.domain.tickets.input.times import Times
from parlance.api.http.errors import Refused
from parlance.contracts.tickets import Message

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def parse(raw: object, *, zone: str = "UTC", strict: bool = False) -> ParsedTicket:
    return parsing.parse_ticket(raw, Times(NOW, ZoneInfo(zone)), strict=strict)


def refuse(raw: object, **how: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        parse(raw, **how)
    return caught.value


def say(text: str = "Hi", **more: Any) -> dict[str, Any]:
    return {"role": "customer", "text": text, **more}


def codes_of(ticket: ParsedTicket) -> list[object]:
    return [warning["code"] for warning in ticket.warnings]


def test_every_mistake_is_told_at_once() -> None:
    raw = {
        "subject": 7,
        "tags": ["x" * 65],
        "redact_pii": "yes",
        "messages": [say(role="boss"), {"text": 3}, say(created_at="yesterday"), "x"],
    }

    refused = refuse(raw)

    assert refused.problem.code == "validation_failed"
    assert [(error.pointer, error.code) for error in refused.errors] == [
        ("/subject", "string_type"),
        ("/tags/0", "string_too_long"),
        ("/redact_pii", "bool_type"),
        ("/messages/0/role", "invalid_role"),
        ("/messages/1/text", "string_type"),
        ("/messages/2/created_at", "invalid_time"),
        ("/messages/3", "model_type"),
    ]


def test_one_kind_of_mistake_is_the_problem_itself() -> None:
    refused = refuse({"messages": [say(role="boss"), say(role="chief")]})

    assert (refused.problem.code, len(refused.errors)) == ("invalid_role", 2)


def test_a_too_long_message_names_the_limits() -> None:
    refused = refuse({"messages": [say("é" * 32_769)]})

    assert refused.problem.status == 413
    assert refused.members == {"max_message_bytes": 65_536, "max_text_bytes": 1_048_576}


def test_a_message_is_also_measured_as_plain_text() -> None:
    grown = "<blockquote><pre>" + "x\n" * 30_000

    refused = refuse({"messages": [say(), say(grown)]})

    assert refused.problem.code == "text_too_long"
    assert [error.pointer for error in refused.errors] == ["/messages/1/text"]


def test_a_conversation_is_also_measured_as_plain_text() -> None:
    grown = "<blockquote><pre>" + "x\n" * 12_000

    refused = refuse({"messages": [say(grown)] * 23})

    assert [error.pointer for error in refused.errors] == ["/messages"]


@pytest.mark.parametrize(
    "text", ["Agent: hi\n" * 2001, ("Agent: " + "x" * 70_000 + "\n") * 3, "x" * 1_048_577]
)
def test_what_is_wrong_with_a_pasted_conversation_points_at_its_text(text: str) -> None:
    refused = refuse({"text": text})

    assert refused.problem.status == 413
    assert [error.pointer for error in refused.errors] == ["/text"]


def test_a_stored_message_holds_what_was_sent() -> None:
    raw = {"messages": [say("<p>Hi</p>", id="m1", author=" Ada ", created_at=1772355600)]}

    [message] = parse(raw).conversation.messages

    assert message == {
        "index": 0,
        "role": "customer",
        "author": "Ada",
        "text": "Hi",
        "quoted": [],
        "created_at": "2026-03-01T09:00:00+00:00",
        "id": "m1",
        "raw_text": "<p>Hi</p>",
    }
    assert Message.model_validate(message).index == 0


def test_quotes_are_stretches_of_the_stored_text() -> None:
    [message] = parse(
        {"messages": [say("<p>Yes</p><blockquote>old</blockquote>")]}
    ).conversation.messages

    assert (message["text"], message["quoted"]) == ("Yes\n> old", [[4, 9]])


def test_messages_are_ordered_by_time_and_keep_their_index() -> None:
    sent = [
        say("d", created_at="2026-03-01T10:05:00+01:00"),
        say("a", created_at="2026-03-01T09:00:00Z"),
        say("b"),
        say("e", created_at="2026-03-01T09:05:00Z"),
        say("c", created_at="2026-03-01T14:30:00+05:30"),
        say("f", created_at="2026-03-01T10:05:00.000001+01:00"),
    ]

    found = parse({"messages": sent}).conversation

    assert "".join(str(message["text"]) for message in found.messages) == "abcdef"
    assert [message["index"] for message in found.messages] == [1, 2, 4, 0, 3, 5]
    assert found.started_at == datetime(2026, 3, 1, 9, tzinfo=UTC)


@given(st.lists(st.one_of(st.none(), st.integers(0, 3)), max_size=8))
def test_ordering_is_stable(minutes: list[int | None]) -> None:
    moments = [None if m is None else datetime(2026, 1, 1, 0, m, tzinfo=UTC) for m in minutes]
    messages = [{"index": index} for index in range(len(moments))]

    found = conversations.order(messages, moments)  # type: ignore[arg-type]  # other members play no part

    taken = list(
        itertools.accumulate(minutes, lambda last, m: last if m is None else m, initial=-1)
    )
    assert [message["index"] for message in found] == sorted(
        range(len(moments)), key=lambda index: -1 if taken[index + 1] is None else taken[index + 1]
    )


def test_what_is_odd_is_told() -> None:
    assert codes_of(parse({"messages": [{"text": "x"}]})) == ["role_missing"]
    assert codes_of(parse({"messages": [say(role="agent")]})) == ["no_customer_side"]
    assert codes_of(parse({"messages": [say(created_at="2026-03-01T10:00")]})) == ["zone_assumed"]
    assert codes_of(parse({"text": "hm"})) == ["conversation_unparsed"]
    assert codes_of(parse({"messages": [say(mood="bad"), say(mood="good")]})) == ["unknown_field"]
    assert codes_of(parse({"messages": [say()]})) == []


def test_warnings_say_what_was_found() -> None:
    time = "2026-03-01T10:00"
    warned = parse({"messages": [say(role="agent", created_at=time)]}, zone="Europe/Berlin")

    assert [warning["detail"] for warning in warned.warnings] == [
        "No message is from the customer or from somebody whose role is unknown.",
        "Times without a zone were read as Europe/Berlin.",
    ]


def test_blank_names_count_as_absent() -> None:
    fields = parse({"external_id": " ", "subject": "", "messages": [say(author=" ")]}).fields

    assert (fields.external_id, fields.subject) == (None, None)


def test_the_content_is_the_same_whatever_the_order_of_its_members() -> None:
    one = parse({"subject": "x", "messages": [say(author="Ada")]})
    same = parse({"messages": [dict(reversed(say(author="Ada").items()))], "subject": "x"})
    other = parse({"subject": "x", "messages": [say(author="Bo")]})

    assert one.content_hash == same.content_hash != other.content_hash


@pytest.mark.parametrize(
    "value",
    [
        "1969-12-31T23:59:59Z", "2026-06-02T12:00:01Z", "last Tuesday", "03/04/2026 10:00", "",
        "2026-W09-1T10:00:00Z", "20260301T100000Z", "2026-03-01", "2026-02-30T10:00:00Z",
        "+50000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00",
        17408160001, 1, 1740816000000000, -1740816000, 1740816000.0, True, None, [],
        "٢٠٢٦-03-01T10:00:00Z",
    ],
)  # fmt: skip
def test_times_are_not_guessed(value: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Times(NOW, ZoneInfo("UTC")).parse(value)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00+00:00"),
        ("2026-06-02T12:00:00Z", "2026-06-02T12:00:00+00:00"),
        ("2026-03-01t10:00:00.5+01:00", "2026-03-01T09:00:00.500000+00:00"),
        ("2026-03-01 10:00z", "2026-03-01T10:00:00+00:00"),
        ("2026-03-01T10:00:00", "2026-03-01T09:00:00+00:00"),
        (1772355600, "2026-03-01T09:00:00+00:00"),
        (1772355660500, "2026-03-01T09:01:00.500000+00:00"),
    ],
)
def test_times_are_read(value: object, moment: str) -> None:
    assert Times(NOW, ZoneInfo("Europe/Berlin")).parse(value).isoformat() == moment


def test_an_unknown_zone_of_a_company_is_utc() -> None:
    assert times.find_zone("Mars/Olympus").key == "UTC"
    assert times.find_zone("../etc/passwd").key == "UTC"
