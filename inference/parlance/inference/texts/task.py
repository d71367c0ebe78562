"""The work on one ticket, from its document to its result. Run by `parlance.inference.engine`.

    read the document -> `started` -> analyse -> the result to the recorder

Small documents and insights travel in the messages, larger ones through the store. Raises what its
parts raise; `texts.kind` says what follows from that.
"""

import hashlib
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from parlance.contracts import objects
from parlance.contracts.analysis.insights import Insights, TrackerRules
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.tickets import (
    CARRIED_BYTES,
    Carried,
    Failed,
    Result,
    Started,
    TicketDispatch,
    Waiting,
)
from parlance.contracts.ids import CompanySlug
from parlance.contracts.problems import Problem
from parlance.contracts.tickets import TicketDocument
from parlance.inference.analysis.documents import Document
from parlance.inference.analysis.progress import Analysis
from parlance.inference.engine import waits
from parlance.inference.engine.endings import Rejected
from parlance.inference.engine.kinds import Run
from parlance.inference.engine.waits import Awaited
from parlance.inference.texts import documents
from parlance.inference.texts.errors import DocumentUnusable
from parlance.runtime.store import Store
from pydantic import ValidationError

DEADLINE_SECONDS = 20.0
"""Of the analysis of one ticket, a hundred times what a large one takes. Shorter than for calls:
all tickets of a worker wait for one analysis process."""


class Analyze(Protocol):
    """`analysis.pipeline.Analyst.analyze`."""

    def __call__(
        self, document: Document, rules: TrackerRules | None, /, *, deadline_seconds: float
    ) -> Awaitable[Analysis]: ...


FetchRules = Callable[[CompanySlug], Awaitable[TrackerRules | None]]


@dataclass(frozen=True, slots=True)
class TextTools:
    """What all tickets of the worker share; put together in `wiring`."""

    name: str
    """Of the worker."""
    store: Store
    fetch_rules: FetchRules
    analyze: Analyze


class TicketTask:
    """One run of one ticket: an `engine.kinds.Task`."""

    def __init__(self, tools: TextTools, run: Run[TicketDispatch]) -> None:
        self._tools = tools
        self._run = run
        self._timings: dict[str, float] = {}

    def recall(self, event: Envelope) -> None:
        """Nothing of an earlier run is reused: an analysis takes milliseconds."""

    def build_sign(self, awaited: Awaited | None) -> Waiting:
        return Waiting(
            waiting_for=awaited.reason if awaited else None,
            message=awaited.message if awaited else None,
        )

    @staticmethod
    def build_failed(rejected: Rejected) -> Failed:
        return Failed(
            reason=rejected.reason,
            code=rejected.problem.code,
            message=rejected.message,
            retryable=rejected.problem.retryable,
        )

    async def run(self) -> None:
        with self._timed("read"):
            ticket = await self._read()
        await self._run.reporter.announce(
            Started(worker=self._tools.name, messages=len(ticket.messages))
        )
        with self._timed("insights"):
            insights = await self._analyze(ticket)
        with self._timed("store"):
            carried = await self._carry(insights)
        total = self._timings["total"] = time.monotonic() - self._run.taken_at
        await self._run.reporter.deliver(
            Result(
                insights=carried,
                document_key=self._run.dispatch.document.object_key,
                seconds=total,
                timings={stage: round(seconds, 4) for stage, seconds in self._timings.items()},
            )
        )

    async def _read(self) -> TicketDocument:
        document = self._run.dispatch.document
        if document.content is not None:
            data = document.content.encode()
        else:
            data = await self._fetch(document.object_key or "", document.sha256)
        try:
            return TicketDocument.model_validate_json(data)
        except ValidationError as exc:
            raise DocumentUnusable(
                Problem.VALIDATION_FAILED, "The conversation that was sent cannot be understood."
            ) from exc

    async def _fetch(self, key: str, sha256: str | None) -> bytes:
        if not objects.is_of_company(key, self._run.dispatch.company):
            raise DocumentUnusable(
                Problem.INPUT_NOT_FOUND, "The object does not belong to the company of the ticket."
            )
        data = await self._run.patience.persist(
            waits.STORE, lambda: self._tools.store.get_bytes(key)
        )
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DocumentUnusable(
                Problem.VALIDATION_FAILED, "The conversation in the store is not the one sent."
            )
        return data

    async def _analyze(self, ticket: TicketDocument) -> Insights:
        dispatch = self._run.dispatch
        rules = await self._run.patience.persist(
            waits.STORE, lambda: self._tools.fetch_rules(dispatch.company)
        )
        analysis = await self._tools.analyze(
            documents.build_document(ticket), rules, deadline_seconds=DEADLINE_SECONDS
        )
        return analysis.build_insights(ticket_id=dispatch.ticket_id, attempt=dispatch.attempt)

    async def _carry(self, insights: Insights) -> Carried:
        dispatch = self._run.dispatch
        content = insights.model_dump_json(exclude_defaults=True)
        data = content.encode()
        if len(data) <= CARRIED_BYTES:
            return Carried(content=content)
        sha256 = hashlib.sha256(data).hexdigest()
        key = objects.format_ticket_insights_key(
            dispatch.company, dispatch.ticket_id, insights.attempt, sha256
        )
        await self._run.patience.persist(
            waits.STORE, lambda: self._tools.store.put_bytes(key, data)
        )
        return Carried(object_key=key, sha256=sha256)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._timings[stage] = time.perf_counter() - started
