"""Guessing agent and customer: right, or not at all."""

import pytest
from parlance.contracts.calls import Role, Segment
from parlance.inference.speakers import roles

from tests.unit.inference.analysis.calls import segment


def call(first: str, second: str, *, start: float = 0.0) -> list[Segment]:
    return [segment(first, start), segment(second, start + 5, channel=1)]


def test_who_greets_like_an_agent_is_the_agent() -> None:
    guess = roles.guess_roles(call("Thanks for calling Acme.", "I’m calling about my bill."))

    # 2 against -2: 0.5 + 0.1 x 4
    assert guess is not None
    assert guess.roles == {"speaker_0": Role.AGENT, "speaker_1": Role.CUSTOMER}
    assert guess.confidence == 0.9


def test_the_caller_may_speak_first() -> None:
    guess = roles.guess_roles(call("Hello?", "Good morning, how may I help you?"))

    # 2 against 0: 0.5 + 0.1 x 2
    assert guess is not None
    assert guess.roles == {"speaker_0": Role.CUSTOMER, "speaker_1": Role.AGENT}
    assert guess.confidence == 0.7


def test_confidence_never_reaches_certainty() -> None:
    guess = roles.guess_roles(
        [segment("How can I help? My name is Ann.", n) for n in range(9)]
        + [segment("I have a problem.", 10, channel=1)]
    )

    assert guess is not None
    assert guess.confidence == 0.95


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Hello.", "Hi there."),
        ("My name is Ann.", "Let me check."),  # weak words only
        ("How can I help you?", "Thank you for calling back."),  # both speak like agents
        ("My name is Ann, let me see.", "I'm calling about my bill."),  # a customer, but no agent
        ("", ""),
    ],
    ids=["nothing", "weak", "both", "customer only", "empty"],
)
def test_without_clear_evidence_there_is_no_guess(first: str, second: str) -> None:
    assert roles.guess_roles(call(first, second)) is None


def test_only_the_opening_counts() -> None:
    assert roles.guess_roles(call("How can I help you?", "Hi.", start=90)) is None
    assert roles.guess_roles(call("How can I help you?", "Hi.", start=89)) is not None


@pytest.mark.parametrize("channels", [[0], [0, 1, 2]])
def test_only_a_call_of_two_has_an_agent_and_a_customer(channels: list[int]) -> None:
    segments = [segment("How can I help you?", channel=0)]
    segments += [segment("Hi.", channel=channel) for channel in channels]

    assert roles.guess_roles(segments) is None
