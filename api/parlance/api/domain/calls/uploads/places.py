"""Who may send audio now: the places of one process, and each company's share of them.

Each upload holds memory while its bytes are on their way to the store, so their number is bounded.
Three groups, so that none can keep the others out:

- A request whose key is known takes a place of its company. Further ones wait in a queue, of
  which each company has a share too; their bytes stay with the client meanwhile.
- A file that comes before its key takes one of a few places of its own (`claim_unkeyed`).
- Whatever has shown neither a key nor a file yet holds little memory and no place, but there are
  not arbitrarily many of it (`count_unknown`).
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from parlance.api.http.errors import Refused
from parlance.contracts.problems import Problem
from prometheus_client import Gauge

_RUNNING = Gauge("parlance_intake_running", "Uploads and downloads being taken in.")
_WAITING = Gauge("parlance_intake_waiting", "Uploads and downloads that wait for a place.")
_UNKNOWN = Gauge("parlance_intake_unknown", "Uploads that have not shown a key yet.")

_RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class PlaceLimits:
    """How many at once in one process."""

    running: int
    of_company: int
    """Of the running ones; a company's share of the queue is the same fraction."""
    unkeyed: int
    waiting: int
    wait_seconds: float
    unkeyed_wait_seconds: float

    @property
    def waiting_of_company(self) -> int:
        return max(1, self.waiting * self.of_company // self.running)


class _Company:
    """The places of one company. Exists while one of its uploads runs or waits."""

    def __init__(self, places: int) -> None:
        self.places = asyncio.Semaphore(places)
        self.waiting = 0
        self.uploads = 0


class Places:
    """One per process."""

    def __init__(self, limits: PlaceLimits) -> None:
        self._limits = limits
        self._places = asyncio.Semaphore(limits.running)
        self._unkeyed = asyncio.Semaphore(limits.unkeyed)
        self._companies: dict[uuid.UUID, _Company] = {}
        self._waiting = 0
        self._unknown = 0

    @contextlib.asynccontextmanager
    async def claim(self, company_id: uuid.UUID) -> AsyncIterator[None]:
        """A place for an upload whose key is known, in the order of asking.

        Raises Refused when too many wait already, or after waiting in vain: 429 when the company
        itself holds all that it may have, otherwise 503.
        """
        with self._company(company_id) as company:
            async with contextlib.AsyncExitStack() as stack:
                with self._queue(company):
                    await self._acquire(stack, company)
                with _RUNNING.track_inprogress():
                    yield

    @contextlib.asynccontextmanager
    async def claim_unkeyed(self) -> AsyncIterator[None]:
        """A place for a file whose key is still to come. Raises Refused after waiting in vain."""
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._limits.unkeyed_wait_seconds):
                    await stack.enter_async_context(self._unkeyed)
            except TimeoutError:
                raise _refuse_unkeyed() from None
            with _RUNNING.track_inprogress():
                yield

    @contextlib.contextmanager
    def count_unknown(self) -> Iterator[None]:
        """A request that has not shown a key yet. Raises Refused when there are too many."""
        if self._unknown >= max(1, self._limits.waiting):
            raise _refuse_unkeyed()
        self._unknown += 1
        try:
            with _UNKNOWN.track_inprogress():
                yield
        finally:
            self._unknown -= 1

    @contextlib.contextmanager
    def _company(self, company_id: uuid.UUID) -> Iterator[_Company]:
        company = self._companies.setdefault(company_id, _Company(self._limits.of_company))
        company.uploads += 1
        try:
            yield company
        finally:
            company.uploads -= 1
            if company.uploads == 0:
                del self._companies[company_id]

    @contextlib.contextmanager
    def _queue(self, company: _Company) -> Iterator[None]:
        """Raises Refused when the queue, or the company's share of it, is full."""
        if company.places.locked() and company.waiting >= self._limits.waiting_of_company:
            raise _refuse_company()
        if self._places.locked() and self._waiting >= self._limits.waiting:
            raise _refuse_busy()
        company.waiting += 1
        self._waiting += 1
        try:
            with _WAITING.track_inprogress():
                yield
        finally:
            company.waiting -= 1
            self._waiting -= 1

    async def _acquire(self, stack: contextlib.AsyncExitStack, company: _Company) -> None:
        """First the company's place: who waits for it must not hold one of the process."""
        refusal = _refuse_company()
        try:
            async with asyncio.timeout(self._limits.wait_seconds):
                await stack.enter_async_context(company.places)
                refusal = _refuse_busy()
                await stack.enter_async_context(self._places)
        except TimeoutError:
            raise refusal from None


def _refuse_company() -> Refused:
    return _build(Problem.RATE_LIMITED, "The company has too many uploads at once.")


def _refuse_busy() -> Refused:
    return _build(Problem.UNAVAILABLE, "Too many uploads at once; try again in a moment.")


def _refuse_unkeyed() -> Refused:
    detail = "Too many uploads without a key; send it in X-Api-Key, or before the file."
    return _build(Problem.UNAVAILABLE, detail)


def _build(problem: Problem, detail: str) -> Refused:
    return Refused(problem, detail, headers={"Retry-After": str(_RETRY_SECONDS)})
