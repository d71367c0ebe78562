"""How far a piece of work is, and which of its events decide: one set of rules for every kind.

The recorder, the operator and the worker read the same stream in the same order and must come to
the same end, so all three decide here. Pure; knows neither kinds nor the bus.

1. The attempt rises with what workers say, not with what is announced.
2. What is said of an older attempt is dropped: its worker was replaced.
3. Of the events that are left, the first terminal one wins.
4. Once a worker has delivered its result, only the recorder may still end that attempt: it knows
   whether the result could be stored.
5. `completed` is said by the recorder after its commit, so it holds whatever was heard before.
"""

import dataclasses
from dataclasses import dataclass
from enum import StrEnum


class Step(StrEnum):
    """What an event means for the work it is about. Each kind of work declares it per event."""

    ANNOUNCED = "announced"
    """Queued for the workers; says nothing about any work."""
    SIGN = "sign"
    """Somebody works on it or waits for something; neither moves the attempt."""
    WORKED = "worked"
    """A worker began an attempt or got further with it."""
    DELIVERED = "delivered"
    """The worker is done and the recorder has its result, or finds it; it has the last word."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in (Step.COMPLETED, Step.FAILED, Step.CANCELLED)

    @property
    def ends_run(self) -> bool:
        """Whether the worker of this attempt has nothing left to do."""
        return self is Step.DELIVERED or self.is_terminal


_TERMINAL_TOKENS = frozenset(step.value for step in Step if step.is_terminal)


def is_terminal_token(token: str) -> bool:
    """Whether an event of any kind ends its subject; every kind uses the same three tokens."""
    return token in _TERMINAL_TOKENS


@dataclass(frozen=True, slots=True)
class Life:
    """What is known of one piece of work. All zero before the first event."""

    attempt: int = 0
    """The newest attempt that a worker spoke of."""
    is_delivered: bool = False
    """The worker of that attempt has delivered its result."""
    end: Step | None = None

    def is_open_to(self, attempt: int) -> bool:
        """Whether an event of this attempt may still change anything (rules 2 and 3)."""
        return self.end is None and attempt >= self.attempt


def accepts(life: Life, step: Step, attempt: int, *, is_by_recorder: bool = False) -> bool:
    """Whether the event counts, by the rules above."""
    if step is Step.COMPLETED:
        return True
    if step in (Step.ANNOUNCED, Step.SIGN):
        return life.end is None
    if not life.is_open_to(attempt):
        return False
    is_after_delivery = life.is_delivered and attempt == life.attempt
    return not (step.is_terminal and is_after_delivery and not is_by_recorder)


def advance(life: Life, step: Step, attempt: int) -> Life:
    """What is known after an event that counts (see `accepts`)."""
    if step in (Step.ANNOUNCED, Step.SIGN):
        return life
    return dataclasses.replace(
        life,
        attempt=max(life.attempt, attempt),
        is_delivered=step in (Step.DELIVERED, Step.COMPLETED)
        or (life.is_delivered and attempt == life.attempt),
        end=step if step.is_terminal else life.end,
    )
