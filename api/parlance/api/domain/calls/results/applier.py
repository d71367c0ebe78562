"""Writes what the bus says about calls into Postgres: the only writer of their results.

`CallApplier.apply` takes one event and may be given it again at any time: the recorder's inbox acks
only after it returned. Faults of Postgres, the store and the bus pass through and the caller waits;
whatever else is wrong is a verdict about the call and is published as its failure.
"""

import uuid
from collections.abc import Awaitable, Callable

import structlog
from parlance.api.db import tables
from parlance.api.db.companies import Companies
from parlance.api.db.session import Database
from parlance.api.domain.calls import deleting
from parlance.api.domain.calls.results import artefacts, records, replies, transitions
from parlance.api.domain.calls.results.artefacts import Artefacts
from parlance.api.domain.results import events
from parlance.api.domain.results.artefacts import BrokenArtefact
from parlance.api.outbox import rows as outbox
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus.calls import EventType
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.subjects import Kind
from parlance.runtime.bus import Bus
from parlance.runtime.clock import Clock
from parlance.runtime.store import Store
from prometheus_client import Counter, Histogram

_log = structlog.get_logger(__name__)
_EVENTS = Counter("parlance_recorder_events", "Events by type and outcome.", ["type", "outcome"])
_RECORD_SECONDS = Histogram("parlance_recorder_record_seconds", "Writing one whole result.")

PROGRESS_SECONDS = 2.0
"""The percentage of a call is written at most this often; streams carry every step anyway."""

Applier = Callable[[uuid.UUID, Envelope], Awaitable[None]]
Change = Callable[[tables.Call], None]


class CallApplier:
    """Applies the events of calls. One per recorder process; several processes are harmless."""

    kind = Kind.CALL

    def __init__(self, database: Database, store: Store, bus: Bus, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._bus = bus
        self._clock = clock
        self._companies = Companies(database)
        self._pace = _Pace(clock)
        self._appliers: dict[str, Applier] = {
            EventType.QUEUED: self._apply_queued,
            EventType.STARTED: self._apply_started,
            EventType.PROGRESS: self._apply_progress,
            EventType.TRANSCRIBED: self._apply_transcribed,
            EventType.ANALYZED: self._apply_analyzed,
            EventType.FAILED: self._apply_failed,
            EventType.CANCELLED: self._apply_cancelled,
        }

    def is_wanted(self, envelope: Envelope) -> bool:
        """Whether the event changes rows now; the others can be acked at once."""
        if envelope.type == EventType.PROGRESS:
            return self._pace.is_due(envelope.subject)
        return envelope.type in self._appliers

    async def apply(self, envelope: Envelope) -> None:
        """Raises Retryable for what passes, Permanent for an event that nobody can apply."""
        company_id = await self._companies.find_id(envelope.company)
        if company_id is not None:
            await self._appliers[envelope.type](company_id, envelope)
            return
        _count(envelope, "no_company")
        if envelope.type == EventType.QUEUED:  # its later events need no second answer
            await self._bus.publish_event(replies.build_no_company(envelope))

    async def give_up(self, envelope: Envelope) -> None:
        """The event could not be applied, however often it was tried."""
        _count(envelope, "given_up")
        if envelope.type == EventType.ANALYZED:
            await self._bus.publish_event(replies.build_not_stored(envelope))

    # --- one method per event -----------------------------------------------------------------

    async def _apply_queued(self, company_id: uuid.UUID, envelope: Envelope) -> None:
        queued = events.parse_data(envelope, call_events.Queued)
        async with self._database.company_session(company_id) as session:
            call = await records.lock_or_add_call(session, company_id, envelope)
            if call is not None and transitions.accepts(call, envelope):
                transitions.queue(call, queued, envelope.timestamp)
                call.updated_at = self._clock.now()
            is_foreign = call is None and not await deleting.is_deleted(
                session, company_id, uuid.UUID(envelope.subject)
            )
        _count(envelope, "applied" if call is not None else "ignored")
        if is_foreign:
            await self._bus.publish_event(replies.build_foreign_id(envelope))

    async def _apply_started(self, company_id: uuid.UUID, envelope: Envelope) -> None:
        started = events.parse_data(envelope, call_events.Started)
        at = envelope.timestamp
        await self._change(company_id, envelope, lambda call: transitions.start(call, started, at))

    async def _apply_progress(self, company_id: uuid.UUID, envelope: Envelope) -> None:
        progress = events.parse_data(envelope, call_events.Progress)
        self._pace.note(envelope.subject)
        async with self._database.company_session(company_id) as session:
            await records.update_percent(session, company_id, envelope, progress.percent)
        _count(envelope, "applied")

    async def _apply_transcribed(self, company_id: uuid.UUID, envelope: Envelope) -> None:
        done = events.parse_data(envelope, call_events.Transcribed)
        at = envelope.timestamp
        await self._change(
            company_id, envelope, lambda call: transitions.finish_transcription(call, done, at)
        )

    async def _apply_failed(self, company_id: uuid.UUID, envelope: Envelope) -> None:
        failed = events.parse_data(envelope, call_events.Failed)
        at = envelope.timestamp
        await self._change(company_id, envelope, lambda call: transitions.fail(call, failed, at))

    async def _apply_cancelled(self, company_id: uuid.UUID, envelope: Envelope) -> None:
        cancelled = events.parse_data(envelope, call_events.Cancelled)
        at = envelope.timestamp
        await self._change(
            company_id, envelope, lambda call: transitions.cancel(call, cancelled, at)
        )

    async def _apply_analyzed(self, company_id: uuid.UUID, envelope: Envelope) -> None:
        """Record the result, commit, then publish the end of the call. Published again when the
        event comes again: this process may have died before, and the bus drops a repetition.

        Also published where the call has ended otherwise: another recorder may have written a
        failure that came after this event, while the operator, which reads in order, waits for
        the event of a recorder.
        """
        analyzed = events.parse_data(envelope, call_events.Analyzed)
        async with self._database.company_session(company_id) as session:
            call = await records.find_call(session, company_id, uuid.UUID(envelope.subject))
        if call is None or transitions.accepts(call, envelope):
            try:
                found = await artefacts.fetch_artefacts(self._store, envelope.company, analyzed)
            except BrokenArtefact as broken:
                await self._report_broken(company_id, envelope, broken)
                return
            with _RECORD_SECONDS.time():
                call = await self._record(company_id, envelope, analyzed, found)
        ended = replies.build_ended(call, envelope.company) if call is not None else None
        if ended is not None:
            await self._bus.publish_event(ended)

    # --- the parts they are made of -----------------------------------------------------------

    async def _change(self, company_id: uuid.UUID, envelope: Envelope, change: Change) -> None:
        """Change the locked row, unless the call is over, deleted, or further already."""
        async with self._database.company_session(company_id) as session:
            call = await records.lock_or_add_call(session, company_id, envelope)
            if call is None or not transitions.accepts(call, envelope):
                _count(envelope, "ignored")
                return
            transitions.advance_attempt(call, envelope)
            change(call)
            # When it changed here, not when it happened: whoever asks for what has changed since
            # would miss an event that was long on its way.
            call.updated_at = self._clock.now()
            if call.status.is_terminal:
                await outbox.withdraw(session, company_id, Kind.CALL, call.id)
        _count(envelope, "applied")

    async def _record(
        self,
        company_id: uuid.UUID,
        envelope: Envelope,
        analyzed: call_events.Analyzed,
        found: Artefacts,
    ) -> tables.Call | None:
        """Transcript, segments and insights in one transaction. Returns the row as it then is;
        None when the call was deleted."""
        async with self._database.company_session(company_id) as session:
            call = await records.lock_or_add_call(session, company_id, envelope)
            if call is None or not transitions.accepts(call, envelope):
                _count(envelope, "ignored")
                return call
            transitions.advance_attempt(call, envelope)
            transitions.complete(call, analyzed, found, self._clock.now())
            await records.replace_result(session, call, found)
            await outbox.withdraw(session, company_id, Kind.CALL, call.id)
            # Set last, since a long result takes a while to write: pollers of `updated_since`
            # must not skip it.
            call.updated_at = self._clock.now()
        _count(envelope, "applied")
        return call

    async def _report_broken(
        self, company_id: uuid.UUID, envelope: Envelope, broken: BrokenArtefact
    ) -> None:
        async with self._database.company_session(company_id) as session:
            if await deleting.is_deleted(session, company_id, uuid.UUID(envelope.subject)):
                _count(envelope, "ignored")
                return  # its objects are gone because they were meant to go
        _count(envelope, "broken")
        _log.error("broken artefact", call=envelope.subject, problem=str(broken))
        await self._bus.publish_event(replies.build_broken_artefact(envelope))


class _Pace:
    """When the percentage of each call was written last; keeps only calls that have to wait."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._written_at: dict[str, float] = {}
        """Oldest first."""

    def is_due(self, call_id: str) -> bool:
        written_at = self._written_at.get(call_id)
        return written_at is None or self._clock.monotonic() - written_at >= PROGRESS_SECONDS

    def note(self, call_id: str) -> None:
        now = self._clock.monotonic()
        self._written_at.pop(call_id, None)
        self._written_at[call_id] = now
        while now - self._written_at[oldest := next(iter(self._written_at))] >= PROGRESS_SECONDS:
            del self._written_at[oldest]


def _count(envelope: Envelope, outcome: str) -> None:
    _EVENTS.labels(envelope.type, outcome).inc()
