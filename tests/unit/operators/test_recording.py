"""What is told of jobs is posted in order, and never holds up who tells it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import prometheus_client
import pytest
from parlance.operator.planning.steps import Record
from parlance.operator.recording import EventRecorder
from parlance.runtime.errors import KubeUnavailable
from parlance.runtime.kube import Kube

JOBS = [f"0190b000-0000-4000-8000-{number:012d}" for number in range(40)]
"""Enough that every poster has some of them."""


class FakeKube:
    """Keeps what is posted, as soon as `answer` lets it through."""

    def __init__(self) -> None:
        self.posted: list[tuple[str, str]] = []
        """Uid and reason, in the order of the answers."""
        self.answer: Callable[[str, str], Any] | None = None

    async def create_event(self, *, uid: str, reason: str, **_: object) -> bool:
        if self.answer is not None:
            await self.answer(uid, reason)
        self.posted.append((uid, reason))
        return True


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
def recorder(kube: FakeKube) -> EventRecorder:
    return EventRecorder(cast(Kube, kube))


@contextlib.asynccontextmanager
async def posting(recorder: EventRecorder) -> AsyncIterator[None]:
    task = asyncio.create_task(recorder.post_forever())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def tell(recorder: EventRecorder, uid: str, reason: str) -> None:
    recorder.record_about("parlance", f"call-{uid}", uid, Record(reason, "so it is"))


def count_dropped() -> float:
    value = prometheus_client.REGISTRY.get_sample_value("parlance_operator_records_dropped_total")
    assert value is not None
    return value


async def test_events_of_a_job_are_posted_in_the_order_of_telling(
    kube: FakeKube, recorder: EventRecorder
) -> None:
    async def answer_the_first_ones_last(_uid: str, reason: str) -> None:
        for _ in range({"Dispatched": 20, "Retrying": 10}.get(reason, 0)):
            await asyncio.sleep(0)

    kube.answer = answer_the_first_ones_last
    for uid in JOBS:
        for reason in ("Dispatched", "Retrying", "Completed"):
            tell(recorder, uid, reason)
    async with posting(recorder):
        await recorder.drain()

    for uid in JOBS:
        reasons = [reason for posted, reason in kube.posted if posted == uid]
        assert reasons == ["Dispatched", "Retrying", "Completed"]


async def test_an_event_that_takes_long_does_not_hold_up_all_other_jobs(
    kube: FakeKube, recorder: EventRecorder
) -> None:
    others_posted = asyncio.Event()

    async def answer_the_first_after_others(uid: str, _reason: str) -> None:
        if uid == JOBS[0]:
            await others_posted.wait()
        else:
            others_posted.set()

    kube.answer = answer_the_first_after_others
    for uid in JOBS:
        tell(recorder, uid, "Dispatched")
    async with posting(recorder), asyncio.timeout(30):
        await recorder.drain()

    assert kube.posted[0] != (JOBS[0], "Dispatched")
    assert len(kube.posted) == len(JOBS)


async def test_what_cannot_be_kept_is_dropped_and_counted(
    kube: FakeKube, recorder: EventRecorder
) -> None:
    before = count_dropped()
    for number in range(5000):
        tell(recorder, JOBS[number % len(JOBS)], "Dispatched")
    dropped = count_dropped() - before
    async with posting(recorder):
        await recorder.drain()

    assert dropped > 0
    assert len(kube.posted) + dropped == 5000


async def test_draining_waits_for_whichever_poster_has_work(
    kube: FakeKube, recorder: EventRecorder
) -> None:
    async def answer_later(*_: str) -> None:
        await asyncio.sleep(0)

    kube.answer = answer_later
    async with posting(recorder):
        for uid in JOBS:
            tell(recorder, uid, "Dispatched")
            await recorder.drain()

            assert kube.posted[-1:] == [(uid, "Dispatched")]


async def test_a_refused_event_is_counted_and_the_next_ones_are_posted(
    kube: FakeKube, recorder: EventRecorder
) -> None:
    async def refuse_one(uid: str, _reason: str) -> None:
        if uid == JOBS[0]:
            raise KubeUnavailable("create")

    kube.answer = refuse_one
    before = count_dropped()
    for uid in JOBS:
        tell(recorder, uid, "Dispatched")
    async with posting(recorder):
        await recorder.drain()

    assert {uid for uid, _ in kube.posted} == set(JOBS[1:])
    assert count_dropped() - before == 1
