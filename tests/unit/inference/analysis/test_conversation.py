"""Waits, answers and reopenings of written conversations, worked out by hand."""

import pytest
from parlance.contracts.analysis.insights import ConversationMetrics, Reopening, Wait
from parlance.contracts.calls import Role
from parlance.inference.analysis.analyzers import conversation, sentences
from parlance.inference.analysis.documents import Unit

from tests.unit.inference.analysis.conversations import build_ticket, message

CUSTOMER, AGENT, BOT, SYSTEM = Role.CUSTOMER, Role.AGENT, Role.BOT, Role.SYSTEM


def measure(*messages: Unit) -> ConversationMetrics:
    document = build_ticket(*messages)
    return conversation.measure_conversation(document, sentences.find_sentences(document))


def test_the_worked_example_of_the_reference() -> None:
    found = measure(
        message(CUSTOMER, "Where is my refund?", 0),
        message(CUSTOMER, "Hello?", 4),
        message(BOT, "An agent will be with you soon.", 4),
        message(AGENT, "Sorry for the wait. Which order is it?", 10),
        message(CUSTOMER, "It is order 7.", 12),
        message(AGENT, "Thank you. It is resolved now.", 20),
        message(CUSTOMER, "It is still not there.", 80),
    )

    agent, customer = found.sides[2], found.sides[0]
    assert [side.role for side in found.sides] == [CUSTOMER, BOT, AGENT]
    assert (found.messages, found.questions, found.duration_seconds) == (7, 3, 4800)
    assert found.first_response_seconds == 600
    # The agent answers after 10 and 8 minutes: median 9. The customer after 2 and 60: median 31.
    assert (agent.responses, agent.response_seconds_median) == (2, 540)
    assert agent.response_seconds_longest == 600
    assert (customer.responses, customer.response_seconds_median) == (2, 1860)
    assert (customer.messages, customer.words, customer.questions) == (4, 14, 2)
    assert found.longest_wait == Wait(role=AGENT, from_id="5", to_id="6", seconds=3600)
    assert found.reopenings == (Reopening(resolved_id="5", reopened_id="6"),)


def test_a_bot_answers_nobody() -> None:
    found = measure(message(CUSTOMER, "Hi", 0), message(BOT, "Hi", 1), message(AGENT, "Hi", 5))

    assert found.first_response_seconds == 300
    assert found.sides[1].responses == 0


def test_who_was_never_answered_waits_until_the_last_message() -> None:
    found = measure(message(CUSTOMER, "Hi", 0), message(CUSTOMER, "Anyone?", 30))

    assert found.first_response_seconds is None
    assert found.longest_wait == Wait(role=CUSTOMER, from_id="0", to_id=None, seconds=1800)


def test_without_times_only_what_needs_none_is_measured() -> None:
    found = measure(message(CUSTOMER, "Why?"), message(AGENT, "Because."))

    assert (found.messages, found.questions) == (2, 1)
    assert (found.duration_seconds, found.first_response_seconds) == (None, None)
    assert found.longest_wait is None
    assert [side.responses for side in found.sides] == [0, 0]


def test_times_that_run_backwards_are_no_negative_waits() -> None:
    found = measure(message(CUSTOMER, "Hi", 10), message(AGENT, "Hi", 5))

    assert found.first_response_seconds == 0
    assert found.duration_seconds == 300


def test_one_message_is_a_conversation() -> None:
    found = measure(message(Role.UNKNOWN, "", 0))

    assert (found.messages, found.duration_seconds, found.longest_wait) == (1, 0, None)


@pytest.mark.parametrize(
    "sentence",
    [
        "Your issue has been resolved.",
        "Resolved.",
        "This is now solved!",
        "I am closing this ticket.",
        "I will close the case now.",
        "Status changed to solved",
        "The ticket was marked as resolved.",
    ],
)
def test_it_is_said_that_all_is_resolved(sentence: str) -> None:
    assert conversation.says_end(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "Is it resolved?",
        "It is not resolved yet.",
        "We will close the ticket if we do not hear from you.",
        "Let me know once it is solved.",
        "The shop is close to the station.",
        "I hope this is resolved.",
        "Close the door.",
    ],
)
def test_it_is_not_said_that_all_is_resolved(sentence: str) -> None:
    assert not conversation.says_end(sentence)


def test_thanks_open_nothing_again_and_what_follows_them_does() -> None:
    found = measure(
        message(AGENT, "It is resolved.", 0),
        message(CUSTOMER, "Great, thank you so much!", 1),
        message(CUSTOMER, "One more thing: the invoice is wrong.", 2),
        message(CUSTOMER, "Please look at it.", 3),
    )

    assert found.reopenings == (Reopening(resolved_id="0", reopened_id="2"),)


def test_what_a_customer_calls_resolved_is_not_closed() -> None:
    found = measure(message(CUSTOMER, "It is resolved.", 0), message(CUSTOMER, "It broke.", 1))

    assert found.reopenings == ()


def test_a_note_of_the_system_closes() -> None:
    found = measure(
        message(SYSTEM, "Status changed to solved", 0),
        message(CUSTOMER, "It broke again.", 1),
        message(SYSTEM, "Status changed to solved", 2),
        message(CUSTOMER, "It broke once more.", 3),
    )

    assert [(o.resolved_id, o.reopened_id) for o in found.reopenings] == [("0", "1"), ("2", "3")]
