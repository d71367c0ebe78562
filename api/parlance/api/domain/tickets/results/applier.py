"""Writes what the bus says about tickets into Postgres: the only writer of their results.

`TicketApplier.apply` takes one event and may be given it again at any time: the recorder's inbox
acks only after it returned. Faults of Postgres, the store and the bus pass through and the caller
waits; whatever else is wrong is a verdict about the ticket and is published as its failure.
"""

import uuid
from collections.abc import Awaitable, Callable

import structlog
from parlance.api.db.companies import Companies
from parlance.api.db.session import Database
from parlance.api.domain.results import events
from parlance.api.domain.results.artefacts import BrokenArtefact
from parlance.api.domain.tickets import queries
from parlance.api.domain.tickets.queries import Life
from parlance.api.domain.tickets.results import artefacts, changes, replies
from parlance.api.domain.tickets.results.changes import Change
from parlance.api.domain.tickets.results.writer import Writer
from parlance.contracts import ids
from parlance.contracts.bus import tickets as ticket_events
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.kinds import Cancelled
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.bus.tickets import EventType
from parlance.contracts.tickets import TicketState
from parlance.runtime.bus import Bus
from parlance.runtime.clock import Clock
from parlance.runtime.store import Store
from prometheus_client import Counter

_log = structlog.get_logger(__name__)
_EVENTS = Counter(
    "parlance_recorder_ticket_events", "Events of tickets by type and outcome.", ["type", "outcome"]
)

Applier = Callable[[uuid.UUID, Envelope], Awaitable[None]]


class TicketApplier:
    """Applies the events of tickets. One per recorder process; several processes are harmless."""

    kind = Kind.TICKET

    def __init__(self, database: Database, store: Store, bus: Bus, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._bus = bus
        self._clock = clock
        self._companies = Companies(database)
        self._writer = Writer(database, clock)
        self._appliers: dict[str, Applier] = {
            EventType.WAITING: self._apply_waiting,
            ticket_events.RESULT_TYPE: self._apply_result,
            EventType.FAILED: self._apply_failed,
            EventType.CANCELLED: self._apply_cancelled,
        }

    def is_wanted(self, envelope: Envelope) -> bool:
        """Whether the event changes rows; the others can be acked at once."""
        return envelope.type in self._appliers

    async def apply(self, envelope: Envelope) -> None:
        """Raises Retryable for what passes, Permanent for an event that nobody can apply."""
        company_id = await self._companies.find_id(envelope.company)
        if company_id is None:
            _count(envelope, "no_company")
            return
        await self._appliers[envelope.type](company_id, envelope)

    async def give_up(self, envelope: Envelope) -> None:
        """The event could not be applied, however often it was tried."""
        _count(envelope, "given_up")
        if envelope.type == ticket_events.RESULT_TYPE:
            await self._bus.publish_event(replies.build_not_stored(envelope))

    # --- one method per event -----------------------------------------------------------------

    async def _apply_waiting(self, company_id: uuid.UUID, envelope: Envelope) -> None:
        """A sign of life: the analysis has begun."""
        await self._write(envelope, changes.start(envelope, str(company_id)))

    async def _apply_failed(self, company_id: uuid.UUID, envelope: Envelope) -> None:
        failed = events.parse_data(envelope, ticket_events.Failed)
        await self._end(company_id, envelope, changes.fail(envelope, str(company_id), failed))

    async def _apply_cancelled(self, company_id: uuid.UUID, envelope: Envelope) -> None:
        cancelled = events.parse_data(envelope, Cancelled)
        await self._end(company_id, envelope, changes.cancel(envelope, str(company_id), cancelled))

    async def _apply_result(self, company_id: uuid.UUID, envelope: Envelope) -> None:
        """Record the result, commit, publish the end, and delete what the attempt left in the
        store: the database has all of it now.

        When the result comes again, the objects may be gone, so the row decides what is right.
        """
        result = events.parse_data(envelope, ticket_events.Result)
        try:
            insights, data = await artefacts.fetch_insights(
                self._store, envelope.company, result.insights
            )
        except BrokenArtefact as broken:
            await self._settle_broken(company_id, envelope, result, broken)
            return
        change = changes.complete(
            envelope, str(company_id), result, insights, data, self._clock.now()
        )
        if await self._write(envelope, change):
            await self._conclude(envelope, result)
        else:
            await self._settle_ignored(
                await self._find_life(company_id, envelope), envelope, result
            )

    # --- the parts they are made of -----------------------------------------------------------

    async def _write(self, envelope: Envelope, change: Change) -> bool:
        is_changed = await self._writer.write(change)
        _count(envelope, "applied" if is_changed else "ignored")
        return is_changed

    async def _end(self, company_id: uuid.UUID, envelope: Envelope, change: Change) -> None:
        """An end without a result. Nobody reads the objects of the attempt any more."""
        is_changed = await self._write(envelope, change)
        if is_changed or _is_over(await self._find_life(company_id, envelope), envelope):
            await self._delete_attempt(envelope)

    async def _conclude(self, envelope: Envelope, result: ticket_events.Result) -> None:
        # One after the other: readers stop at the second one.
        await self._bus.publish_event(replies.build_analyzed(envelope, result.timings))
        await self._bus.publish_event(replies.build_completed(envelope))
        # An earlier attempt may have ended without a result that names its objects.
        if artefacts.has_objects(result) or envelope.attempt > 1:
            await self._delete_attempt(envelope)

    async def _settle_ignored(
        self, life: Life | None, envelope: Envelope, result: ticket_events.Result
    ) -> None:
        """Publish the end again if this result was recorded: the process that did it may have died
        before it published, and the bus drops a repetition. The result of any other attempt that is
        over is deleted: its worker may have written it after the end."""
        if life is not None and _is_recorded(life, envelope):
            await self._conclude(envelope, result)
        elif _is_over(life, envelope) and artefacts.has_objects(result):
            await self._delete_attempt(envelope)

    async def _settle_broken(
        self,
        company_id: uuid.UUID,
        envelope: Envelope,
        result: ticket_events.Result,
        broken: BrokenArtefact,
    ) -> None:
        """A failure, unless the result is not needed any more."""
        life = await self._find_life(company_id, envelope)
        if _is_over(life, envelope):
            _count(envelope, "ignored")
            await self._settle_ignored(life, envelope, result)
            return
        _count(envelope, "broken")
        _log.error("broken artefact", ticket=envelope.subject, problem=str(broken))
        await self._bus.publish_event(replies.build_broken_artefact(envelope))

    async def _delete_attempt(self, envelope: Envelope) -> None:
        ticket_id = ids.parse_ticket_id(envelope.subject)
        await artefacts.delete_attempt(self._store, envelope.company, ticket_id, envelope.attempt)

    async def _find_life(self, company_id: uuid.UUID, envelope: Envelope) -> Life | None:
        async with self._database.company_session(company_id) as session:
            return await queries.find_life(session, company_id, uuid.UUID(envelope.subject))


def _is_over(life: Life | None, envelope: Envelope) -> bool:
    """Whether no result of the event's attempt is wanted any more."""
    return life is None or life.state.is_terminal or life.attempt > envelope.attempt


def _is_recorded(life: Life, envelope: Envelope) -> bool:
    return life.state is TicketState.COMPLETED and life.attempt == envelope.attempt


def _count(envelope: Envelope, outcome: str) -> None:
    _EVENTS.labels(envelope.type, outcome).inc()
