"""The recorder process: opens its adapters, runs its loops, ends in order.

`python -m parlance.api recorder`. Several may run at once; they share the work by row locks and by
the durable consumer. What is recorded, sent and deleted is up to the areas (`areas`).
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence

import structlog
from parlance.api.db import session
from parlance.api.db.session import Database
from parlance.api.outbox.deletions import Deleter
from parlance.api.outbox.relay import Relay
from parlance.api.recorder import areas as registry
from parlance.api.recorder.areas import Adapters, Area
from parlance.api.recorder.expiry import ExpiredRows, StagedUploads
from parlance.api.recorder.inbox import Inbox
from parlance.api.recorder.janitor import Janitor, Step
from parlance.api.recorder.loops import Loops
from parlance.api.recorder.orphans import OrphanObjects
from parlance.api.settings import RecorderSettings, Settings
from parlance.runtime import bus, kube, store, telemetry
from parlance.runtime.bus import Bus
from parlance.runtime.clock import Clock, SystemClock
from parlance.runtime.errors import Retryable
from parlance.runtime.process import Process

_log = structlog.get_logger(__name__)

DELETE_SECONDS = 1.0
MEASURE_SECONDS = 5.0
SILENT_SECONDS = 120.0
"""Connected, and yet no pull was answered for so long: a restart may help where waiting did not."""


async def run(settings: Settings, process: Process) -> None:
    """Until the process is asked to stop."""
    limits = settings.recorder
    async with contextlib.AsyncExitStack() as stack:
        open_ = await _open_adapters(settings, stack)
        areas = registry.build_areas(open_, limits)
        inboxes = [
            Inbox(
                open_.bus,
                recording.consumer,
                [recording.applier],
                open_.clock,
                process.stopping,
                hold_seconds=limits.hold_results_seconds,
            )
            for area in areas
            for recording in area.recordings
        ]
        endpoint = await stack.enter_async_context(
            telemetry.serve_health(
                settings.telemetry,
                live=lambda: _check_live(inboxes, open_.bus, open_.clock),
                ready=lambda: _check_ready(open_.database, open_.bus),
            )
        )
        _log.info("recorder started", host=endpoint.host, port=endpoint.port)
        async with asyncio.TaskGroup() as group:
            for inbox in inboxes:
                group.create_task(inbox.run())
            _start_loops(group, Loops(process.stopping), open_, areas, limits)
    _log.info("recorder stopped")


async def _open_adapters(settings: Settings, stack: contextlib.AsyncExitStack) -> Adapters:
    return Adapters(
        database=await stack.enter_async_context(session.open_database(settings.database)),
        kube=await stack.enter_async_context(kube.open_kube(settings.kube)),
        store=await stack.enter_async_context(store.open_store(settings.store)),
        bus=await stack.enter_async_context(
            bus.open_bus(settings.bus, client_name="recorder", wait_seconds=None)
        ),
        clock=SystemClock(),
    )


def _start_loops(
    group: asyncio.TaskGroup,
    loops: Loops,
    open_: Adapters,
    areas: Sequence[Area],
    limits: RecorderSettings,
) -> None:
    relay = Relay(open_.database, [each for area in areas for each in area.senders], open_.clock)
    deleter = Deleter(
        open_.database, [each for area in areas for each in area.deletion_handlers], open_.clock
    )
    janitor = _build_janitor(open_, areas, limits)
    for kind in relay.kinds:
        group.create_task(_relay_forever(loops, relay, kind, limits))
    group.create_task(loops.every(DELETE_SECONDS, "delete", deleter.delete_due))
    group.create_task(loops.every(MEASURE_SECONDS, "measure", relay.measure))
    group.create_task(loops.every(limits.janitor_seconds, "janitor", janitor.run_pass))
    for area in areas:
        for name, each in area.rounds.items():
            group.create_task(loops.every(each.seconds, name, each.action))


async def _relay_forever(loops: Loops, relay: Relay, kind: str, limits: RecorderSettings) -> None:
    """Each kind has a loop of its own, so that one whose receiver is away does not hold up the
    others."""
    await loops.drain(
        limits.relay_poll_seconds,
        "relay",
        limits.relay_batch,
        lambda: relay.relay_batch(kind, limits.relay_batch),
    )


def _build_janitor(open_: Adapters, areas: Iterable[Area], limits: RecorderSettings) -> Janitor:
    staged = StagedUploads(open_.store, open_.clock, orphan_seconds=limits.orphan_seconds)
    orphans = OrphanObjects(
        open_.database,
        open_.store,
        open_.bus,
        open_.clock,
        [each for area in areas for each in area.owners],
        orphan_seconds=limits.orphan_seconds,
        max_suspects=limits.max_orphan_suspects,
    )
    rows = ExpiredRows(open_.database, open_.clock)
    steps: dict[str, Step] = {"staged_upload": staged.delete, "orphan_object": orphans.delete}
    for area in areas:
        steps.update(area.janitor_steps)
    steps["idempotency_key"] = rows.delete_idempotency_keys
    steps["tombstone"] = rows.delete_tombstones
    return Janitor(steps)


async def _check_live(inboxes: Iterable[Inbox], events: Bus, clock: Clock) -> Mapping[str, str]:
    silent_seconds = clock.monotonic() - min(inbox.answered_at for inbox in inboxes)
    if events.is_connected and silent_seconds > SILENT_SECONDS:
        return {"bus": f"no answer for {silent_seconds:.0f} s"}
    return {}


async def _check_ready(database: Database, events: Bus) -> Mapping[str, str]:
    problems = {}
    try:
        async with asyncio.timeout(2.0):
            await database.ping()
    except (Retryable, TimeoutError):
        problems["database"] = "not available"
    if not events.is_connected:
        problems["bus"] = "not connected"
    return problems
