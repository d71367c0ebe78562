"""What becomes of a ticket that is known: added messages."""

from parlance.api.db.tables import Json
from parlance.api.domain.tickets.uploads import changes


def build(index: int, text: str, at: str | None = None, **more: str) -> Json:
    time = f"2026-03-01T{at}:00+00:00" if at else None
    return {"index": index, "author": "Ada", "text": text, "created_at": time, **more}


def test_a_message_with_an_id_is_known_by_it() -> None:
    stored = [build(0, "One", id="a"), build(1, "Two")]
    sent = [build(0, "One, corrected", id="a"), build(1, "Two", id="b")]

    assert changes.find_new(stored, sent) == [sent[1]]


def test_a_message_without_an_id_is_known_by_author_time_and_text() -> None:
    stored = [build(0, "One", "10:00"), build(1, "Two", id="b")]
    sent = [
        build(0, "One", "10:00"),
        build(1, "One", "11:00"),
        build(2, "Two"),
        build(3, "Two") | {"author": "Bo"},
    ]

    assert changes.find_new(stored, sent) == [sent[1], sent[3]]


def test_a_new_id_counts_once() -> None:
    sent = [build(0, "One", id="a"), build(1, "One", id="a")]

    assert changes.find_new([], sent) == [sent[0]]


def test_new_messages_without_an_id_may_be_equal() -> None:
    sent = [build(0, "x"), build(1, "x")]

    assert changes.find_new([], sent) == sent
    assert changes.find_new(sent, sent) == []


def test_added_messages_are_numbered_behind_the_others_and_ordered_with_them() -> None:
    stored = [build(1, "a", "09:00"), build(0, "c", "11:00")]
    added = [build(1, "b", "10:00"), build(0, "d", "12:00"), build(2, "e")]

    found = changes.add_messages(stored, added)

    assert [(m["index"], m["text"]) for m in found] == [
        (1, "a"), (3, "b"), (4, "e"), (0, "c"), (2, "d"),
    ]  # fmt: skip
