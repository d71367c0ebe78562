"""Speakers in a pasted text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parlance.api.domain.tickets.input import pasting
from parlance.contracts.calls import Role

AGENT, CUSTOMER, UNKNOWN = Role.AGENT, Role.CUSTOMER, Role.UNKNOWN


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("Agent: Hi.\nCustomer: Ho.", [(AGENT, None, "Hi."), (CUSTOMER, None, "Ho.")]),
        ("Agent Bo: Hi.\nCustomer (Ada): Ho.", [(AGENT, "Bo", "Hi."), (CUSTOMER, "Ada", "Ho.")]),
        ("Bo (Agent): Hi.\nAda (Customer): Ho.", [(AGENT, "Bo", "Hi."), (CUSTOMER, "Ada", "Ho.")]),
        ("[10:02] Bo: Hi.\n[10:03] Ada: Ho.", [(UNKNOWN, "Bo", "Hi."), (UNKNOWN, "Ada", "Ho.")]),
        ("Bo (10:02): Hi.\nAda (10:03): Ho.", [(UNKNOWN, "Bo", "Hi."), (UNKNOWN, "Ada", "Ho.")]),
        (
            "01/03/2026, 10:02 - Bo: Hi.\n01/03/2026, 10:03 - Ada: Ho.",
            [(UNKNOWN, "Bo", "Hi."), (UNKNOWN, "Ada", "Ho.")],
        ),
        (
            "[01.03.2026, 10:02:11] Bo: Hi.\n[01.03.2026, 10:03:11] Ada: Ho.",
            [(UNKNOWN, "Bo", "Hi."), (UNKNOWN, "Ada", "Ho.")],
        ),
        ("**Agent:** Hi.\n**Customer:** Ho.", [(AGENT, None, "Hi."), (CUSTOMER, None, "Ho.")]),
        ("Kunde: Hallo.\nBerater: Guten Tag.", [
            (CUSTOMER, None, "Hallo."), (AGENT, None, "Guten Tag.")
        ]),
        ("Bo: Hi.\nAda: Ho.\nBo: Well.", [
            (UNKNOWN, "Bo", "Hi."), (UNKNOWN, "Ada", "Ho."), (UNKNOWN, "Bo", "Well.")
        ]),
        ("Agent: One.\nTwo.\r\n\r\nCustomer:\nThree.", [
            (AGENT, None, "One.\nTwo."), (CUSTOMER, None, "Three.")
        ]),
        ("Chat of Monday\nAgent: Hi.", [(UNKNOWN, None, "Chat of Monday"), (AGENT, None, "Hi.")]),
        ("Agent: See http://x.example\nNote: closed.", [
            (AGENT, None, "See http://x.example\nNote: closed.")
        ]),
    ],
)  # fmt: skip
def test_speakers_are_found(text: str, messages: list[tuple[Role, str | None, str]]) -> None:
    pasted = pasting.parse_pasted(text)

    assert [(found.role, found.author, found.text) for found in pasted.messages] == messages
    assert 0 < pasted.confidence <= 1


@pytest.mark.parametrize(
    "text",
    [
        "I bought this in May and it broke in June, what now",
        "Subject: Refund\nDear all,\nNote: see http://x.example\nThanks",
        "Dear support team, my order: 1234\nplease help: soon",
        "https://x.example/a:b",
    ],
)
def test_a_text_without_speakers_is_one_message(text: str) -> None:
    pasted = pasting.parse_pasted(text)

    assert [(found.role, found.text) for found in pasted.messages] == [(UNKNOWN, text)]
    assert pasted.confidence == 0


def test_known_roles_make_it_surer() -> None:
    roles = pasting.parse_pasted("Agent: Hi.\nCustomer: Ho.").confidence
    names = pasting.parse_pasted("[10:02] Bo: Hi.\n[10:03] Ada: Ho.").confidence

    assert names < roles


@given(st.text(alphabet="Agent Bo:[10]()\n*-", max_size=200))
def test_no_word_is_lost(text: str) -> None:
    said = "".join(
        found.text + (found.author or "") for found in pasting.parse_pasted(text).messages
    )

    assert len(said) <= len(text)
