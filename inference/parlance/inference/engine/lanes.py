"""In which order the lanes are asked for work. Pure; called by `engine.loop`."""

from collections.abc import Hashable, Iterator, Mapping
from typing import TypeVar

from parlance.contracts.calls import Priority

L = TypeVar("L", bound=Hashable)


def iter_preferences(weights: Mapping[L, int]) -> Iterator[tuple[L, ...]]:
    """Endless orders of preference: each lane comes first as often as its weight says, spread
    evenly (smooth weighted round robin); the others follow by weight, so that no turn is lost on
    an empty lane."""
    credit = dict.fromkeys(weights, 0)
    ranked = sorted(weights, key=lambda lane: -weights[lane])
    total = sum(weights.values())
    while True:
        for lane, weight in weights.items():
            credit[lane] += weight
        first = max(ranked, key=lambda lane: credit[lane])
        credit[first] -= total
        yield first, *(lane for lane in ranked if lane != first)


def plan_kept_slots(slots: int) -> dict[Priority, int]:
    """How many slots each lane leaves free for the lanes above it: however many long runs are
    waiting, work that somebody is watching finds a place. A small worker keeps none."""
    if slots < 4:
        return dict.fromkeys(Priority, 0)
    return {Priority.INTERACTIVE: 0, Priority.STANDARD: 1, Priority.BULK: 2}
