"""The ticker looks at everything again, but removes only so many at once."""

from datetime import timedelta
from typing import cast

from parlance.operator.cache import JobCache
from parlance.operator.freshness import Freshness
from parlance.operator.reconcile.apply import Applier
from parlance.operator.settings import OperatorSettings
from parlance.operator.ticker import Ticker
from parlance.operator.work_queue import WorkQueue
from parlance.runtime.clock import ManualClock

from tests.unit.operators.test_cache import manifest


class _NoApplier:
    """Nothing is owed to the bus."""

    async def take_deferred(self) -> None:
        pass


def build(clock: ManualClock) -> tuple[Ticker, JobCache, WorkQueue]:
    cache, queue = JobCache(), WorkQueue(clock)
    ticker = Ticker(
        cache=cache,
        queue=queue,
        applier=cast(Applier, _NoApplier()),
        freshness=Freshness(OperatorSettings(), clock),
        clock=clock,
        period_seconds=15,
    )
    return ticker, cache, queue


def fill(cache: JobCache, count: int, *, is_done: bool) -> None:
    for number in range(count):
        one = manifest(1, is_done=is_done)
        one["metadata"]["name"] = f"job-{number}-{is_done}"
        one["metadata"]["uid"] = f"0190b000-0000-4000-8000-{number:012d}"
        cache.note(one)


def test_unfinished_jobs_are_queued_each_time() -> None:
    ticker, cache, queue = build(ManualClock())
    fill(cache, 3, is_done=False)
    ticker.tick()

    assert len(queue) == 3


def test_finished_jobs_rest_until_their_time_is_over() -> None:
    clock = ManualClock()
    ticker, cache, queue = build(clock)
    fill(cache, 600, is_done=True)
    ticker.tick()
    resting = len(queue)
    clock.advance(timedelta(days=1).total_seconds())
    ticker.tick()

    assert (resting, len(queue)) == (0, 500)
