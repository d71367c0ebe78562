"""Waiting for a condition instead of sleeping and hoping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

from devstack import errors

POLL_SECONDS = 0.05

Predicate = Callable[[], object | Awaitable[object]]


async def wait_until(
    predicate: Predicate, timeout_seconds: float, what: str, poll_seconds: float = POLL_SECONDS
) -> None:
    """Return as soon as the predicate, plain or async, is true; raise `NotInTime` if it never is.

    `what` says what was waited for, as in "the job is Complete". The predicate is asked once more
    after the time is up, so that a machine that stalls for a moment does not fail a test whose
    condition has come true meanwhile.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        is_last = time.monotonic() >= deadline
        answer = predicate()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return
        if is_last:
            raise errors.NotInTime(what, timeout_seconds)
        await asyncio.sleep(poll_seconds)
