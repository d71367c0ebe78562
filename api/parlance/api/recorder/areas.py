"""What each area gives to the recorder. A new area adds its function here, and its name to
`build_areas`; nothing else of the recorder knows which areas there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from parlance.api.db.session import Database
from parlance.api.domain.calls.deleting import CallDeletions
from parlance.api.domain.calls.jobs import CallSender
from parlance.api.domain.calls.leftovers import CallOwners, DeletedCallJobs
from parlance.api.domain.calls.results.applier import CallApplier
from parlance.api.domain.calls.stragglers import Stragglers
from parlance.api.domain.company import trackers
from parlance.api.domain.tickets import stragglers as ticket_stragglers
from parlance.api.domain.tickets.deleting import TicketDeletions
from parlance.api.domain.tickets.dispatching import TicketSender
from parlance.api.domain.tickets.leftovers import TicketOwners
from parlance.api.domain.tickets.results.applier import TicketApplier
from parlance.api.outbox import deletions, relay
from parlance.api.recorder import inbox
from parlance.api.recorder.janitor import Step
from parlance.api.recorder.loops import Action
from parlance.api.recorder.orphans import Owners
from parlance.api.settings import RecorderSettings
from parlance.contracts.bus import streams
from parlance.contracts.bus.streams import Consumer
from parlance.runtime.bus import Bus
from parlance.runtime.clock import Clock
from parlance.runtime.kube import Kube
from parlance.runtime.store import Store


@dataclass(frozen=True, slots=True)
class Adapters:
    """What the recorder has open."""

    database: Database
    kube: Kube
    store: Store
    bus: Bus
    clock: Clock


@dataclass(frozen=True, slots=True)
class Round:
    """Something to be done again and again."""

    seconds: float
    action: Action


@dataclass(frozen=True, slots=True)
class Recording:
    """Events or results of one kind: where they come from, and what is done with them."""

    consumer: Consumer
    applier: inbox.Applier


@dataclass(frozen=True, slots=True)
class Area:
    """One area's parts; each is absent where the area has no use for it."""

    recordings: Sequence[Recording] = ()
    senders: Sequence[relay.Handler] = ()
    deletion_handlers: Sequence[deletions.Handler] = ()
    owners: Sequence[Owners] = ()
    janitor_steps: Mapping[str, Step] = field(default_factory=dict)
    rounds: Mapping[str, Round] = field(default_factory=dict)


def build_areas(open_: Adapters, limits: RecorderSettings) -> list[Area]:
    return [_build_calls(open_, limits), _build_tickets(open_), _build_company(open_)]


def _build_company(open_: Adapters) -> Area:
    files = trackers.TrackerFiles(open_.database, open_.store, open_.clock)
    return Area(rounds={"trackers": Round(trackers.LOOK_SECONDS, files.run_pass)})


def _build_calls(open_: Adapters, limits: RecorderSettings) -> Area:
    database, kube, bus, clock = open_.database, open_.kube, open_.bus, open_.clock
    applier = CallApplier(database, open_.store, bus, clock)
    stragglers = Stragglers(database, kube, bus, applier, clock)
    return Area(
        recordings=[Recording(streams.RECORDER, applier)],
        senders=[CallSender(kube, bus, clock, max_live_jobs=limits.max_live_jobs)],
        deletion_handlers=[CallDeletions(kube, open_.store, bus)],
        owners=[CallOwners(kube)],
        janitor_steps={"calljob": DeletedCallJobs(database, kube).delete},
        rounds={"stragglers": Round(limits.janitor_seconds, stragglers.run_pass)},
    )


def _build_tickets(open_: Adapters) -> Area:
    database, store, bus, clock = open_.database, open_.store, open_.bus, open_.clock
    applier = TicketApplier(database, store, bus, clock)
    lost = ticket_stragglers.Stragglers(database, store, bus, clock)
    return Area(
        recordings=[
            Recording(streams.TICKET_RECORDER, applier),
            Recording(streams.TICKET_RESULTS, applier),
        ],
        senders=[TicketSender(bus, clock)],
        deletion_handlers=[TicketDeletions(store, bus)],
        owners=[TicketOwners()],
        rounds={"ticket_stragglers": Round(ticket_stragglers.ROUND_SECONDS, lost.run_pass)},
    )
