"""What the recorder writes about calls, on real Postgres, NATS and store: idempotent, one terminal
state, no gaps."""

import asyncio
import uuid
from datetime import datetime, timedelta

import asyncpg
import pytest
from parlance.api.db import tables
from parlance.api.db.errors import DatabaseUnavailable, QueryRejected
from parlance.api.db.session import Database
from parlance.api.domain.calls import deleting, jobs
from parlance.api.domain.calls.results import applier as results
from parlance.api.domain.calls.results.applier import CallApplier
from parlance.contracts import ids
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus import envelopes
from parlance.contracts.calls import CallStatus, ChannelPolicy, Priority, Stage
from parlance.contracts.ids import CallId
from parlance.runtime.bus import Bus
from parlance.runtime.clock import ManualClock, SystemClock
from parlance.runtime.store import Store

from devstack import waiting
from devstack.postgres import Postgres
from tests.integration.api_db import support
from tests.integration.api_db.support import Tenant
from tests.integration.databases import Urls

TEXTS = ["it was the best of times", "it was the worst of times"]


@pytest.fixture
def applier(database: Database, store: Store, bus: Bus) -> CallApplier:
    return CallApplier(database, store, bus, SystemClock())


@pytest.fixture
async def call(database: Database, acme: Tenant) -> tables.Call:
    return await support.add_call(database, acme, audio_key="acme/calls/x/audio.wav")


async def apply(
    applier: CallApplier,
    company: Tenant,
    call_id: CallId,
    data: call_events.EventData,
    attempt: int = 1,
) -> None:
    await applier.apply(support.build_event(company, call_id, data, attempt))


async def fetch(database: Database, call: tables.Call) -> tables.Call:
    found = await support.fetch_call(database, call.id)
    assert found is not None
    return found


async def test_started_makes_it_processing_with_media_and_model(
    applier: CallApplier, database: Database, acme: Tenant, call: tables.Call
) -> None:
    await apply(applier, acme, support.call_id_of(call), support.build_started(), attempt=2)

    stored = await fetch(database, call)
    assert stored.status is CallStatus.PROCESSING
    assert (stored.attempt, stored.codec, stored.channel_count) == (2, "pcm_s16le", 1)
    assert stored.model == support.MODEL.model_dump(mode="json")
    assert [stage["state"] for stage in stored.stages] == ["running", "pending", "pending"]


async def test_a_late_event_is_a_new_change_for_whoever_keeps_a_copy(
    applier: CallApplier, database: Database, acme: Tenant, call: tables.Call
) -> None:
    began = tables.utc_now()
    event = support.build_event(acme, support.call_id_of(call), support.build_started())
    happened = began - timedelta(hours=1)
    await applier.apply(event.model_copy(update={"timestamp": happened}))

    stored = await fetch(database, call)
    assert stored.started_at == happened
    assert stored.updated_at >= began


async def test_analyzed_records_everything_and_says_completed(
    applier: CallApplier,
    database: Database,
    store: Store,
    bus: Bus,
    acme: Tenant,
    call: tables.Call,
) -> None:
    call_id = support.call_id_of(call)
    analyzed = await support.put_result(store, acme, call_id, texts=TEXTS)
    await apply(applier, acme, call_id, analyzed)

    stored = await fetch(database, call)
    segments = await support.fetch_segments(database, call.id)
    assert stored.status is CallStatus.COMPLETED
    assert (stored.percent, stored.segment_count, stored.detected_language) == (100, 2, "en")
    assert stored.timings == {"transcribe": 1.5}
    assert [segment.text for segment in segments] == TEXTS
    assert segments[0].sentiment == {"score": 0.5, "label": "positive"}
    assert segments[1].sentiment is None
    assert await support.count_rows(database, tables.CallInsights) == 1
    [completed] = await support.read_events(bus)
    assert completed.type == "call.completed"
    assert completed.data["transcript_sha256"] == analyzed.transcript_sha256


async def test_nul_in_words_insights_and_summary_costs_no_result(
    applier: CallApplier, database: Database, store: Store, acme: Tenant, call: tables.Call
) -> None:
    call_id = support.call_id_of(call)
    analyzed = await support.put_result(store, acme, call_id, texts=["nothing\0 at all"])

    await apply(applier, acme, call_id, analyzed)

    stored = await fetch(database, call)
    [segment] = await support.fetch_segments(database, call.id)
    assert stored.status is CallStatus.COMPLETED
    assert stored.summary == segment.text == "nothing at all"
    assert segment.words is not None
    assert segment.words[0]["text"] == "nothing at all"


async def test_nul_in_a_message_costs_no_failure(
    applier: CallApplier, database: Database, acme: Tenant, call: tables.Call
) -> None:
    failed = support.build_failed().model_copy(update={"message": "broken\0 here"})

    await apply(applier, acme, support.call_id_of(call), failed)

    assert (await fetch(database, call)).error_message == "broken here"


async def test_an_event_of_an_impossible_time_is_no_outage(
    applier: CallApplier, acme: Tenant, call: tables.Call
) -> None:
    """An outage is waited for; this would be waited for without end."""
    event = support.build_event(acme, support.call_id_of(call), support.build_started())
    forged = event.model_copy(
        update={"timestamp": datetime.fromisoformat("0001-01-01T00:00:00+14:00")}
    )

    with pytest.raises(QueryRejected):
        await applier.apply(forged)


async def test_deleting_a_completed_call_takes_its_result_along(
    applier: CallApplier, database: Database, store: Store, acme: Tenant, call: tables.Call
) -> None:
    call_id = support.call_id_of(call)
    await apply(applier, acme, call_id, await support.put_result(store, acme, call_id, texts=TEXTS))
    async with database.company_session(acme.id) as transaction:
        assert await deleting.delete_call(transaction, acme.id, call.id, actor="key:x")

    assert await support.count_rows(database, tables.CallSegment) == 0
    assert await support.count_rows(database, tables.CallInsights) == 0


async def test_the_same_result_again_changes_nothing_and_is_said_once(
    applier: CallApplier,
    database: Database,
    store: Store,
    bus: Bus,
    acme: Tenant,
    call: tables.Call,
) -> None:
    call_id = support.call_id_of(call)
    analyzed = await support.put_result(store, acme, call_id, texts=TEXTS)
    await apply(applier, acme, call_id, analyzed)
    first = await fetch(database, call)
    await apply(applier, acme, call_id, analyzed)

    assert await fetch(database, call) == first
    assert await support.count_rows(database, tables.CallSegment) == 2
    assert len(await support.read_events(bus)) == 1


async def test_a_result_of_a_later_attempt_does_not_replace_a_recorded_one(
    applier: CallApplier,
    database: Database,
    store: Store,
    acme: Tenant,
    call: tables.Call,
) -> None:
    call_id = support.call_id_of(call)
    await apply(applier, acme, call_id, await support.put_result(store, acme, call_id, texts=TEXTS))
    late = await support.put_result(store, acme, call_id, attempt=2, texts=["other"])
    await apply(applier, acme, call_id, late, attempt=2)

    texts = [segment.text for segment in await support.fetch_segments(database, call.id)]
    assert texts == TEXTS


async def test_a_result_of_an_older_attempt_is_dropped(
    applier: CallApplier,
    database: Database,
    store: Store,
    bus: Bus,
    acme: Tenant,
    call: tables.Call,
) -> None:
    call_id = support.call_id_of(call)
    await apply(applier, acme, call_id, support.build_started(), attempt=2)
    stale = await support.put_result(store, acme, call_id, texts=["stale"])
    await apply(applier, acme, call_id, stale, attempt=1)

    assert (await fetch(database, call)).status is CallStatus.PROCESSING
    assert await support.fetch_segments(database, call.id) == []
    assert await support.read_events(bus) == []


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (support.build_failed(), CallStatus.FAILED),
        (call_events.Cancelled(message="deleted"), CallStatus.CANCELLED),
    ],
)
async def test_the_first_terminal_state_wins_and_is_said_to_who_waits_for_the_result(
    applier: CallApplier,
    database: Database,
    store: Store,
    bus: Bus,
    acme: Tenant,
    call: tables.Call,
    data: call_events.Failed | call_events.Cancelled,
    status: CallStatus,
) -> None:
    """Two recorders may take events out of order. The operator reads them in order, so it has heard
    of the analysis first and waits for the recorder's word."""
    call_id = support.call_id_of(call)
    await apply(applier, acme, call_id, data)
    analyzed = await support.put_result(store, acme, call_id, texts=TEXTS)
    await apply(applier, acme, call_id, analyzed)
    await apply(applier, acme, call_id, call_events.Cancelled())

    assert (await fetch(database, call)).status is status
    assert await support.fetch_segments(database, call.id) == []
    [answer] = await support.read_events(bus)
    assert envelopes.is_by_recorder(answer)
    assert answer.type == f"call.{status}"
    assert answer.data["message"] == data.message


async def test_failed_keeps_what_a_person_needs(
    applier: CallApplier, database: Database, acme: Tenant, call: tables.Call
) -> None:
    await apply(applier, acme, support.call_id_of(call), support.build_failed())

    stored = await fetch(database, call)
    assert stored.error_code == "undecodable_audio"
    assert stored.error_reason == "UndecodableAudio"
    assert stored.error_message == "The audio cannot be decoded."
    assert stored.completed_at is not None


async def test_progress_is_written_and_then_throttled(
    database: Database, store: Store, bus: Bus, acme: Tenant, call: tables.Call
) -> None:
    clock = ManualClock()
    applier = CallApplier(database, store, bus, clock)
    call_id = support.call_id_of(call)
    await apply(applier, acme, call_id, support.build_started())
    progress = call_events.Progress(
        percent=40, stage=Stage.TRANSCRIBE, processed_seconds=4, total_seconds=10
    )
    event = support.build_event(acme, call_id, progress)
    assert applier.is_wanted(event)
    await applier.apply(event)

    assert (await fetch(database, call)).percent == 40
    assert not applier.is_wanted(event)
    clock.advance(results.PROGRESS_SECONDS)
    assert applier.is_wanted(event)


async def test_a_call_by_kubectl_gets_its_row(
    applier: CallApplier, database: Database, acme: Tenant
) -> None:
    call_id = ids.parse_call_id(str(uuid.uuid4()))
    queued = call_events.Queued(
        name="my-call",
        namespace="parlance",
        uid=call_id,
        object_key="incoming/a.wav",
        channels=ChannelPolicy.AGENT_LEFT,
        priority=Priority.BULK,
    )
    await apply(applier, acme, call_id, queued)
    await apply(applier, acme, call_id, queued)

    stored = await support.fetch_call(database, call_id)
    assert stored is not None
    assert stored.source is tables.CallSource.KUBECTL
    assert (stored.calljob_name, stored.audio_key) == ("my-call", "incoming/a.wav")
    assert (stored.channels, stored.priority) == (ChannelPolicy.AGENT_LEFT, Priority.BULK)
    assert stored.queued_at is not None


async def test_a_call_by_kubectl_completes_although_its_first_event_was_lost(
    applier: CallApplier, database: Database, store: Store, acme: Tenant
) -> None:
    call_id = ids.parse_call_id(str(uuid.uuid4()))
    await apply(applier, acme, call_id, await support.put_result(store, acme, call_id, texts=TEXTS))

    stored = await support.fetch_call(database, call_id)
    assert stored is not None
    assert stored.status is CallStatus.COMPLETED


async def test_an_unknown_company_fails_the_call(
    applier: CallApplier, database: Database, bus: Bus
) -> None:
    nobody = Tenant(id=uuid.uuid4(), slug=ids.parse_company("nobody"))
    call_id = ids.new_call_id()
    await apply(
        applier, nobody, call_id, call_events.Queued(name="x", namespace="parlance", uid=call_id)
    )

    [failed] = await support.read_events(bus)
    assert failed.data["reason"] == "CompanyNotFound"
    assert failed.data["code"] == "company_not_found"
    assert await support.count_rows(database, tables.Call) == 0


async def test_a_job_named_after_another_companys_call_fails(
    applier: CallApplier, database: Database, bus: Bus, globex: Tenant, call: tables.Call
) -> None:
    call_id = support.call_id_of(call)
    queued = call_events.Queued(name=f"call-{call_id}", namespace="parlance", uid="u")
    await apply(applier, globex, call_id, queued)

    [failed] = await support.read_events(bus)
    assert failed.data["reason"] == "IdTaken"
    assert (await fetch(database, call)).queued_at is None


async def test_events_of_a_deleted_call_are_ignored(
    applier: CallApplier,
    database: Database,
    store: Store,
    bus: Bus,
    acme: Tenant,
    call: tables.Call,
) -> None:
    call_id = support.call_id_of(call)
    analyzed = await support.put_result(store, acme, call_id, texts=TEXTS)
    async with database.company_session(acme.id) as transaction:
        await deleting.delete_call(transaction, acme.id, call.id, actor="key:x")
    queued = call_events.Queued(name=f"call-{call_id}", namespace="parlance", uid="u")
    for data in (queued, support.build_started(), analyzed, call_events.Cancelled()):
        await apply(applier, acme, call_id, data)

    assert await support.fetch_call(database, call.id) is None
    assert await support.read_events(bus) == []


@pytest.mark.parametrize("damage", ["missing", "changed", "not json"])
async def test_a_broken_artefact_fails_the_call(
    applier: CallApplier,
    database: Database,
    store: Store,
    bus: Bus,
    acme: Tenant,
    call: tables.Call,
    damage: str,
) -> None:
    call_id = support.call_id_of(call)
    analyzed = await support.put_result(store, acme, call_id, texts=TEXTS)
    if damage == "missing":
        await store.delete(analyzed.insights_key)
    else:
        stored = await store.put_bytes(analyzed.insights_key, b"{")
        if damage == "not json":
            sha256 = stored.sha256 or ""
            analyzed = analyzed.model_copy(update={"insights_sha256": sha256})
    await apply(applier, acme, call_id, analyzed)
    [failed] = await support.read_events(bus)
    await applier.apply(failed)

    assert failed.data["reason"] == "OutputWriteFailed"
    assert (await fetch(database, call)).status is CallStatus.FAILED


@pytest.mark.parametrize("name", ["transcript_key", "insights_key"])
async def test_an_artefact_of_another_company_is_not_taken(
    applier: CallApplier,
    database: Database,
    store: Store,
    bus: Bus,
    acme: Tenant,
    globex: Tenant,
    call: tables.Call,
    name: str,
) -> None:
    call_id = support.call_id_of(call)
    analyzed = await support.put_result(store, acme, call_id, texts=TEXTS)
    foreign = await support.put_result(store, globex, call_id, texts=TEXTS)
    changed = analyzed.model_copy(update={name: getattr(foreign, name)})
    await apply(applier, acme, call_id, changed)

    [failed] = await support.read_events(bus)
    assert failed.data["reason"] == "OutputWriteFailed"


async def test_thirty_thousand_segments_are_recorded_at_once(
    applier: CallApplier, database: Database, store: Store, acme: Tenant, call: tables.Call
) -> None:
    call_id = support.call_id_of(call)
    texts = [f"sentence number {number}" for number in range(30_000)]
    analyzed = await support.put_result(store, acme, call_id, texts=texts)
    await apply(applier, acme, call_id, analyzed)

    assert await support.count_rows(database, tables.CallSegment) == 30_000


async def test_a_crash_while_recording_leaves_nothing_half_done(
    applier: CallApplier,
    database: Database,
    store: Store,
    acme: Tenant,
    call: tables.Call,
    postgres_server: Postgres,
    urls: Urls,
) -> None:
    """The last step before the commit waits for a relay that holds the call's outbox row: there
    Postgres dies."""
    call_id = support.call_id_of(call)
    analyzed = await support.put_result(store, acme, call_id, texts=TEXTS)
    async with database.company_session(acme.id) as transaction:
        jobs.add(transaction, call, acme.slug)

    relay = await asyncpg.connect(urls.owner)
    try:
        await relay.execute("BEGIN; SELECT id FROM outbox FOR UPDATE")
        recording = asyncio.create_task(apply(applier, acme, call_id, analyzed))
        waiters = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        await waiting.wait_until(lambda: relay.fetchval(waiters), 10, "the row is waited for")
        await postgres_server.process.kill()
    finally:
        relay.terminate()
    with pytest.raises(DatabaseUnavailable):
        await recording
    await postgres_server.process.start()
    assert await support.fetch_segments(database, call.id) == []
    assert (await fetch(database, call)).status is CallStatus.QUEUED

    await apply(applier, acme, call_id, analyzed)
    assert len(await support.fetch_segments(database, call.id)) == 2
    assert await support.count_rows(database, tables.OutboxRow) == 0
