"""Liveness: what makes it fail, and what does not."""

from parlance.operator.freshness import Freshness
from parlance.operator.settings import OperatorSettings
from parlance.operator.work_queue import Key
from parlance.runtime.clock import ManualClock

A = Key("ns", "a")


def build() -> tuple[Freshness, ManualClock]:
    clock = ManualClock()
    settings = OperatorSettings(
        tick_seconds=10, max_watch_lag_seconds=100, max_bus_silence_seconds=300
    )
    return Freshness(settings, clock), clock


async def test_idle_cluster_is_fresh_however_long_the_watch_is_silent() -> None:
    freshness, clock = build()
    clock.advance(10_000)
    freshness.note_tick()
    freshness.note_bus()

    assert await freshness.live() == {}


async def test_deaf_watch_is_found_by_what_it_owes() -> None:
    freshness, clock = build()
    freshness.note_owed(A, 7)
    clock.advance(60)
    freshness.note_owed(A, 8)
    clock.advance(50)
    freshness.note_tick()

    assert await freshness.live() == {"watch": "owes a change for 110 s"}


async def test_later_version_pays_the_debt_and_an_earlier_one_does_not() -> None:
    freshness, clock = build()
    freshness.note_owed(A, 7)
    clock.advance(5)
    freshness.note_watched(A, 6)

    assert freshness.watch_lag_seconds() == 5
    freshness.note_watched(A, 9)
    assert freshness.watch_lag_seconds() == 0


async def test_stuck_ticker_and_silent_bus_fail_it() -> None:
    freshness, clock = build()
    clock.advance(301)

    assert set(await freshness.live()) == {"ticker", "bus"}


async def test_readiness_waits_for_the_first_list_and_the_watch() -> None:
    freshness, _ = build()

    assert set(await freshness.ready()) == {"cache", "watch"}
    freshness.is_loaded = freshness.is_watching = True
    assert await freshness.ready() == {}
