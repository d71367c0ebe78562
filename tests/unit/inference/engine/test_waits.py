from parlance.contracts.crs.meta import Reason
from parlance.inference.engine.waits import STORE, Awaited, Waits
from parlance.runtime.clock import ManualClock

MODEL = Awaited("asr", Reason.WAITING_FOR_MODEL, "waiting for the speech model")


def test_what_is_waited_for_longest_is_found() -> None:
    clock = ManualClock()
    waits = Waits(clock)
    with waits.track() as begin_first, waits.track() as begin_second:
        begin_second(MODEL)
        clock.advance(1)
        begin_first(STORE)

        assert waits.find(0) is MODEL


def test_a_wait_counts_from_its_first_failure() -> None:
    clock = ManualClock()
    waits = Waits(clock)
    with waits.track() as begin_wait:
        clock.advance(10)
        begin_wait(STORE)
        clock.advance(1)
        begin_wait(STORE)

        assert waits.find(2) is None
        clock.advance(1)
        assert waits.find(2) is STORE


def test_a_wait_ends_with_its_context() -> None:
    waits = Waits(ManualClock())
    with waits.track() as begin_wait:
        begin_wait(STORE)

    assert waits.find(0) is None


def test_nothing_is_waited_for_that_works_at_once() -> None:
    waits = Waits(ManualClock())
    with waits.track():
        assert waits.find(0) is None
