import pytest
from parlance.inference.engine import waits
from parlance.inference.engine.patience import Patience
from parlance.runtime.clock import ManualClock
from parlance.runtime.errors import ObjectNotFound, StoreRefused, StoreUnavailable


class _Flaky:
    def __init__(self, failures: list[Exception]) -> None:
        self.failures = failures
        self.tries = 0

    async def __call__(self) -> str:
        self.tries += 1
        if self.failures:
            raise self.failures.pop(0)
        return "done"


@pytest.fixture
def patience() -> Patience:
    clock = ManualClock()

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    return Patience(clock, deadline_seconds=10, sleep=sleep)


async def test_what_is_away_is_asked_again(patience: Patience) -> None:
    flaky = _Flaky([StoreUnavailable("get")] * 3)

    assert await patience.persist(waits.STORE, flaky) == "done"
    assert flaky.tries == 4


async def test_after_the_deadline_the_last_error_comes_out(patience: Patience) -> None:
    flaky = _Flaky([StoreUnavailable("get")] * 100)

    with pytest.raises(StoreUnavailable):
        await patience.persist(waits.STORE, flaky)

    assert 5 < flaky.tries < 30


async def test_what_will_never_work_is_not_asked_twice(patience: Patience) -> None:
    flaky = _Flaky([ObjectNotFound("k")])

    with pytest.raises(ObjectNotFound):
        await patience.persist(waits.STORE, flaky)

    assert flaky.tries == 1


async def test_what_the_store_refuses_is_not_asked_again_and_again(patience: Patience) -> None:
    flaky = _Flaky([StoreRefused("k")])

    with pytest.raises(StoreRefused):
        await patience.persist(waits.STORE, flaky)

    assert flaky.tries == 1


async def test_tries_that_took_longer_than_the_deadline_are_still_made() -> None:
    clock = ManualClock()
    tries = 0

    async def break_off_late() -> str:
        nonlocal tries
        tries += 1
        clock.advance(60)
        raise StoreUnavailable("get")

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    with pytest.raises(StoreUnavailable):
        await Patience(clock, deadline_seconds=10, sleep=sleep).persist(
            waits.STORE, break_off_late, min_tries=3
        )

    assert tries == 3
