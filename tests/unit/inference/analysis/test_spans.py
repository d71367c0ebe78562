"""Span arithmetic."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from parlance.inference.analysis import spans

MESSY = st.lists(st.tuples(st.integers(-50, 300), st.integers(-50, 300)), max_size=20)


def covered(given_spans: spans.Spans | list[spans.Span]) -> set[int]:
    return {ms for start, end in given_spans for ms in range(max(0, start), end)}


def test_merging_orders_joins_and_drops_what_is_empty() -> None:
    messy = [(50, 60), (5, 5), (-10, 4), (10, 20), (18, 30), (90, 80)]

    assert spans.merge(messy) == ((0, 4), (10, 30), (50, 60))


def test_merging_over_a_gap_joins_what_is_that_close() -> None:
    assert spans.merge([(0, 10), (15, 20), (26, 30)], gap_ms=5) == ((0, 20), (26, 30))


def test_the_complement_has_both_ends() -> None:
    assert spans.complement(((10, 20), (30, 40)), 50) == ((0, 10), (20, 30), (40, 50))
    assert spans.complement((), 50) == ((0, 50),)
    assert spans.complement((), 0) == ()


@given(MESSY)
def test_merging_covers_the_same_time(messy: list[spans.Span]) -> None:
    merged = spans.merge(messy)

    assert covered(merged) == covered(messy)
    assert spans.measure(merged) == len(covered(messy))
    assert all(a[1] < b[0] for a, b in itertools.pairwise(merged))


@given(MESSY, MESSY)
def test_the_intersection_is_the_time_in_both(
    one: list[spans.Span], other: list[spans.Span]
) -> None:
    shared = spans.intersect(spans.merge(one), spans.merge(other))

    assert covered(shared) == covered(one) & covered(other)


@given(MESSY)
def test_spans_and_their_complement_are_the_whole(messy: list[spans.Span]) -> None:
    merged = spans.merge(messy)

    assert spans.measure(merged) + spans.measure(spans.complement(merged, 400)) == 400
