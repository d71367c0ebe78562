"""A ticket as a document: quoted stretches are blanked, and what people see is kept."""

import time
from datetime import UTC, datetime

from parlance.contracts.calls import Role
from parlance.contracts.tickets import Message, TicketDocument
from parlance.inference.analysis.isolation import frames
from parlance.inference.texts import documents

AT = datetime(2026, 3, 1, 10, tzinfo=UTC)


def build_ticket(*messages: Message, language: str = "auto") -> TicketDocument:
    return TicketDocument(ticket_id="t", attempt=1, language=language, messages=messages)


def test_a_message_is_a_unit_of_its_author() -> None:
    ticket = build_ticket(
        Message(index=4, role=Role.AGENT, author="Bo", text="Hi.", created_at=AT),
        Message(index=2, role=Role.CUSTOMER, text="Hello."),
    )

    first, second = documents.build_document(ticket).units

    assert (first.id, first.speaker, first.role, first.text) == ("4", "Bo", Role.AGENT, "Hi.")
    assert (first.written_at, second.written_at) == (AT.timestamp(), None)
    assert (second.id, second.speaker) == ("2", "customer")


def test_what_is_quoted_is_blank_and_places_stay() -> None:
    text = "No.\n> Is it there?\nBye."
    message = Message(index=0, role=Role.AGENT, text=text, quoted=((4, 18),))

    (unit,) = documents.build_document(build_ticket(message)).units

    assert unit.text == "No.\n" + " " * 14 + "\nBye."
    assert unit.full_text == text
    assert len(unit.text) == len(text)


def test_a_stretch_beyond_the_text_does_not_lengthen_it() -> None:
    message = Message(index=0, role=Role.AGENT, text="Yes.", quoted=((2, 99),))

    assert documents.blank_quoted(message) == "Ye  "


def test_many_stretches_are_blanked_in_linear_time() -> None:
    text = "> a\nb\n" * 40_000
    quoted = tuple((at, at + 3) for at in range(0, len(text), 6))
    message = Message(index=0, role=Role.AGENT, text=text, quoted=quoted)
    started = time.process_time()

    blanked = documents.blank_quoted(message)

    assert time.process_time() - started < 1.0
    assert blanked == "   \nb\n" * 40_000


def test_the_language_is_found_out_unless_it_is_given() -> None:
    message = Message(index=0, role=Role.AGENT, text="Yes.")

    assert documents.build_document(build_ticket(message)).language == ""
    assert documents.build_document(build_ticket(message, language="de")).language == "de"


def test_units_are_the_same_behind_the_pipe_and_carry_only_what_they_have() -> None:
    document = documents.build_document(
        build_ticket(
            Message(index=0, role=Role.AGENT, text="Yes. > no", quoted=((5, 9),), created_at=AT),
            Message(index=1, role=Role.AGENT, text="Yes."),
        )
    )

    payload = frames.format_units(document.units)[frames.HEADER.size :]

    assert tuple(frames.parse_units(payload)) == document.units
    assert payload.endswith(b'["1", "agent", "agent", 0.0, 0.0, "Yes."]]')
