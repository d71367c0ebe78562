"""Which windows can be decoded together, and how a batch is shared between workers. Pure.

CTranslate2 takes one tensor shape, one prompt length, one beam and one answer to "with
timestamps?" per batch (it looks at the first prompt only), so windows that differ in those
are separate batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass

BUCKETS_SECONDS = (15, 30)
"""Two encoder shapes: 15 s costs less than half of 30 s. In shorter ones Whisper loops."""


@dataclass(frozen=True, order=True)
class Key:
    """Windows with equal keys may share a batch."""

    bucket_seconds: int
    timestamps: bool
    beam: int
    prompt_tokens: int
    words: bool = False


def choose_bucket(duration_seconds: float) -> int:
    """The smallest encoder shape that holds the window, in seconds."""
    return next(bucket for bucket in BUCKETS_SECONDS if duration_seconds <= bucket)


def plan_batches(
    keys: Sequence[Key], durations_seconds: Sequence[float], workers: int
) -> list[list[int]]:
    """Split windows, given by index, into batches, each kind evenly over `workers`.

    Longest first and dealt like cards, so that the workers finish together: encoding costs the same
    for all windows of a shape, decoding grows with what is said.
    """
    groups: dict[Key, list[int]] = {}
    for index in sorted(range(len(keys)), key=lambda i: durations_seconds[i], reverse=True):
        groups.setdefault(keys[index], []).append(index)
    batches: list[list[int]] = []
    for key in sorted(groups, reverse=True):
        hands = min(workers, len(groups[key]))
        batches += [groups[key][hand::hands] for hand in range(hands)]
    return batches
