"""Stretches of a mail that repeat earlier ones."""

import pytest
from parlance.api.domain.tickets.input import quoting


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("Hi\n> old\n> older\nmine", ["> old\n> older"]),
        (
            "Hi\n\nOn Mon, 1 Mar 2026 at 10:00, Ada <a@b.c> wrote:\n> old\nmine",
            ["On Mon, 1 Mar 2026 at 10:00, Ada <a@b.c> wrote:\n> old"],
        ),
        ("Hi\n\nOn Mon, 1 Mar 2026,\nAda wrote:\nold", ["On Mon, 1 Mar 2026,\nAda wrote:\nold"]),
        ("Ja\nAm 01.03.2026 um 10:00 schrieb Ada:\n> alt", [
            "Am 01.03.2026 um 10:00 schrieb Ada:\n> alt"
        ]),
        ("Oui\nLe 1 mars 2026, Ada a écrit :\n> vieux", ["Le 1 mars 2026, Ada a écrit :\n> vieux"]),
        ("ok\n-----Original Message-----\nold", ["-----Original Message-----\nold"]),
        ("ok\n-----Ursprüngliche Nachricht-----\nalt", ["-----Ursprüngliche Nachricht-----\nalt"]),
        (
            "ok\n________________________________\nFrom: Ada\nSent: Monday\nTo: Bo\n\nold",
            ["________________________________\nFrom: Ada\nSent: Monday\nTo: Bo\n\nold"],
        ),
        ("ok\nVon: Ada\nGesendet: Montag\nAn: Bo\n\nalt", [
            "Von: Ada\nGesendet: Montag\nAn: Bo\n\nalt"
        ]),
        ("Hi\n> one\nmine\n> two\nmine too", ["> one", "> two"]),
    ],
)  # fmt: skip
def test_quotes_are_found(text: str, quoted: list[str]) -> None:
    assert [text[begin:end] for begin, end in quoting.find_quoted(text)] == quoted


@pytest.mark.parametrize(
    "text",
    [
        "Nothing here",
        "a -> b, 3 > 2",
        "On Monday I wrote a letter: it came back",
        "From: the beginning I was unhappy\nand so on",
        "Choose:\n- one\n- two",
        "> all of it\n> is quoted",
        "",
    ],
)
def test_what_is_no_quote_stays(text: str) -> None:
    assert quoting.find_quoted(text) == ()
