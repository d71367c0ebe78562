"""Which event decides: the rules that recorder, operator and worker share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parlance.contracts import lifecycle
from parlance.contracts.lifecycle import Life, Step


def live(*events: tuple[Step, int] | tuple[Step, int, bool]) -> Life:
    """The life after these (step, attempt, is by the recorder)."""
    life = Life()
    for step, attempt, *rest in events:
        if lifecycle.accepts(life, step, attempt, is_by_recorder=bool(rest and rest[0])):
            life = lifecycle.advance(life, step, attempt)
    return life


def test_the_first_terminal_event_wins() -> None:
    life = live((Step.WORKED, 1), (Step.FAILED, 1), (Step.CANCELLED, 1))

    assert life.end is Step.FAILED


def test_an_older_attempt_decides_nothing() -> None:
    life = live((Step.WORKED, 2), (Step.FAILED, 1))

    assert life == Life(attempt=2)


def test_what_is_announced_does_not_raise_the_attempt() -> None:
    assert live((Step.ANNOUNCED, 3), (Step.SIGN, 4)) == Life()


@pytest.mark.parametrize("end", [Step.FAILED, Step.CANCELLED])
def test_after_the_delivery_only_the_recorder_ends_the_attempt(end: Step) -> None:
    delivered = ((Step.WORKED, 1), (Step.DELIVERED, 1))

    assert live(*delivered, (end, 1)).end is None
    assert live(*delivered, (end, 1, True)).end is end


def test_a_delivery_says_nothing_of_the_next_attempt() -> None:
    life = live((Step.DELIVERED, 1), (Step.WORKED, 2), (Step.FAILED, 2))

    assert life.end is Step.FAILED


def test_completed_holds_whatever_was_heard_before() -> None:
    life = live((Step.FAILED, 2), (Step.COMPLETED, 1))

    assert life == Life(attempt=2, is_delivered=True, end=Step.COMPLETED)


_events = st.lists(st.tuples(st.sampled_from(Step), st.integers(1, 4), st.booleans()), max_size=20)


@given(_events, _events)
def test_an_end_changes_only_to_completed_and_the_attempt_never_falls(
    before: list[tuple[Step, int, bool]], after: list[tuple[Step, int, bool]]
) -> None:
    early, late = live(*before), live(*before, *after)

    assert late.attempt >= early.attempt
    assert early.end is None or late.end in (early.end, Step.COMPLETED)


@given(_events)
def test_saying_everything_twice_changes_nothing(events: list[tuple[Step, int, bool]]) -> None:
    doubled = [event for event in events for _ in range(2)]

    assert live(*doubled) == live(*events)


def test_every_kind_ends_with_the_same_tokens() -> None:
    assert {step for step in Step if lifecycle.is_terminal_token(step.value)} == {
        Step.COMPLETED,
        Step.FAILED,
        Step.CANCELLED,
    }
