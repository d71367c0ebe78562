import itertools
from collections import Counter

from parlance.contracts.bus.streams import LANE_WEIGHTS
from parlance.contracts.calls import Priority
from parlance.inference.engine import lanes


def test_each_lane_comes_first_as_often_as_its_weight_says() -> None:
    orders = itertools.islice(lanes.iter_preferences(LANE_WEIGHTS), 1200)

    firsts = Counter(order[0] for order in orders)

    assert firsts == {Priority.INTERACTIVE: 800, Priority.STANDARD: 300, Priority.BULK: 100}


def test_turns_are_spread_evenly() -> None:
    orders = list(itertools.islice(lanes.iter_preferences(LANE_WEIGHTS), 12))

    standard = [n for n, order in enumerate(orders) if order[0] is Priority.STANDARD]

    assert all(3 <= later - earlier <= 5 for earlier, later in itertools.pairwise(standard))


def test_every_order_names_all_lanes_once() -> None:
    for order in itertools.islice(lanes.iter_preferences(LANE_WEIGHTS), 24):
        assert sorted(order) == sorted(Priority)


def test_lower_lanes_leave_slots_to_higher_ones() -> None:
    kept = lanes.plan_kept_slots(8)

    assert kept[Priority.INTERACTIVE] == 0
    assert kept[Priority.INTERACTIVE] < kept[Priority.STANDARD] < kept[Priority.BULK]


def test_a_small_worker_keeps_nothing_back() -> None:
    assert set(lanes.plan_kept_slots(1).values()) == {0}
