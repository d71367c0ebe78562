"""`python -m parlance.api recorder` as a process on real servers, killed where it hurts."""

import asyncio
import contextlib
import pathlib
import random
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.domain.calls import jobs
from parlance.contracts.calls import CallStatus
from parlance.contracts.tickets import TicketState

from devstack import http_probe, nats_server, ports, process, waiting
from devstack.controlplane.server import ControlPlane
from devstack.postgres import Postgres
from devstack.process import ServerProcess
from tests.integration.api_db import support
from tests.integration.api_db.support import Parts, Tenant
from tests.integration.api_db.tickets import support as ticket_support
from tests.integration.databases import Urls

CALLS = 40


@dataclass
class Surroundings:
    """What a recorder process needs to know."""

    environment: dict[str, str]
    folder: pathlib.Path

    @contextlib.asynccontextmanager
    async def run_recorder(self) -> AsyncIterator[ServerProcess]:
        port = ports.find_free_port()
        command = process.Command(
            name=f"recorder-{port}",
            argv=[sys.executable, "-m", "parlance.api", "recorder"],
            log_path=self.folder / f"recorder-{port}.log",
            environment=self.environment | {"PARLANCE_METRICS_PORT": str(port)},
        )
        url = f"http://{ports.LOOPBACK}:{port}/health/ready"
        async with process.open_server(command, lambda: http_probe.is_ok(url)) as opened:
            yield opened


@pytest.fixture
def surroundings(
    urls: Urls,
    nats: nats_server.NatsServer,
    control_plane: ControlPlane,
    parts: Parts,
    tmp_path: pathlib.Path,
) -> Surroundings:
    environment = {
        "PARLANCE_DATABASE_URL": urls.app,
        "PARLANCE_NATS_URL": nats.url,
        "PARLANCE_STORE_URL": f"file://{tmp_path / 'objects'}",
        "PARLANCE_NAMESPACE": parts.kube._namespace,
        "KUBECONFIG": str(control_plane.kubeconfig),
        "PARLANCE_METRICS_HOST": ports.LOOPBACK,
    }
    return Surroundings(environment, tmp_path)


async def commit_call(parts: Parts, company: Tenant, **values: Any) -> tables.Call:
    call = tables.Call(company_id=company.id, audio_key="acme/x", **values)
    async with parts.database.company_session(company.id) as transaction:
        transaction.add(call)
        await transaction.flush()
        jobs.add(transaction, call, company.slug)
    return call


async def play_worker(parts: Parts, company: Tenant, call: tables.Call) -> None:
    """Everything a worker says about a call of three segments."""
    call_id = support.call_id_of(call)
    analyzed = await support.put_result(parts.store, company, call_id, texts=["a", "b", "c"])
    for data in (support.build_started(), analyzed):
        await parts.bus.publish_event(support.build_event(company, call_id, data))


async def count_completed(parts: Parts) -> int:
    query = sa.select(sa.func.count()).where(tables.Call.status == CallStatus.COMPLETED)  # type: ignore[arg-type]  # SQLModel types columns as values
    async with parts.database.system_session() as transaction:
        return await transaction.scalar(query) or 0


async def assert_each_recorded_once(parts: Parts, calls: list[tables.Call]) -> None:
    assert await count_completed(parts) == len(calls)
    for call in calls:
        segments = await support.fetch_segments(parts.database, call.id)
        assert [segment.text for segment in segments] == ["a", "b", "c"]
    completed = [
        event.subject
        for event in await support.read_events(parts.bus)
        if event.type == "call.completed"
    ]
    assert sorted(completed) == sorted(str(call.id) for call in calls)


async def test_from_the_outbox_to_completed(
    parts: Parts, acme: Tenant, surroundings: Surroundings
) -> None:
    call = await commit_call(parts, acme)
    async with surroundings.run_recorder():

        async def has_job() -> bool:
            return await parts.kube.get_calljob(f"call-{call.id}") is not None

        await waiting.wait_until(has_job, 20, "the CallJob exists")
        await play_worker(parts, acme, call)

        async def is_completed() -> bool:
            return await count_completed(parts) == 1

        await waiting.wait_until(is_completed, 20, "the call is completed")

    await assert_each_recorded_once(parts, [call])


async def test_kill_9_again_and_again_loses_and_doubles_nothing(
    parts: Parts, acme: Tenant, surroundings: Surroundings
) -> None:
    calls = [await support.add_call(parts.database, acme) for _ in range(CALLS)]
    randomness = random.Random(7)

    async def is_done() -> bool:
        return await count_completed(parts) == CALLS

    async with surroundings.run_recorder() as recorder:
        playing = asyncio.gather(*(play_worker(parts, acme, call) for call in calls))
        for _ in range(5):
            # Not a wait for something: the moment of the kill is meant to be anywhere.
            await asyncio.sleep(randomness.uniform(0.05, 0.6))
            await recorder.kill()
            await recorder.start()
        await playing
        # What a killed process held comes back after the ack wait.
        await waiting.wait_until(is_done, 100, "all calls are completed")

    await assert_each_recorded_once(parts, calls)


async def test_tickets_go_through_it_though_it_is_killed(
    parts: Parts, acme: Tenant, surroundings: Surroundings
) -> None:
    tickets = [await ticket_support.queue_ticket(parts, acme) for _ in range(CALLS)]

    async def play(number: int, ticket: tables.Ticket) -> None:
        sign = ticket_support.build_event(acme.slug, ticket, ticket_support.SIGN)
        await parts.bus.publish_event(sign)
        result = await ticket_support.send_result(
            parts.store, acme.slug, ticket, is_in_store=number % 2 == 0
        )
        await parts.bus.publish_result(ticket_support.build_result(acme.slug, ticket, result))

    async def is_done() -> bool:
        query = sa.select(sa.func.count()).where(tables.Ticket.state == TicketState.COMPLETED)  # type: ignore[arg-type]  # SQLModel types columns as values
        async with parts.database.system_session() as transaction:
            return await transaction.scalar(query) == CALLS

    async with surroundings.run_recorder() as recorder:
        playing = asyncio.gather(*(play(*each) for each in enumerate(tickets)))
        for _ in range(3):
            # Not a wait for something: the moment of the kill is meant to be anywhere.
            await asyncio.sleep(random.uniform(0.05, 0.6))
            await recorder.kill()
            await recorder.start()
        await playing
        await waiting.wait_until(is_done, 100, "all tickets are completed")

    events = [event.type for event in await support.read_events(parts.bus)]
    assert events.count("ticket.analyzed") == events.count("ticket.completed") == CALLS
    assert await support.list_keys(parts) == []
    assert await support.count_rows(parts.database, tables.TicketInsights) == CALLS
    assert await support.count_rows(parts.database, tables.OutboxRow) == 0


async def test_postgres_away_loses_nothing(
    parts: Parts, acme: Tenant, surroundings: Surroundings, postgres_server: Postgres
) -> None:
    calls = [await support.add_call(parts.database, acme) for _ in range(CALLS)]
    async with surroundings.run_recorder():
        await postgres_server.process.kill()
        try:
            await asyncio.gather(*(play_worker(parts, acme, call) for call in calls))
        finally:
            await postgres_server.process.start()

        async def is_done() -> bool:
            return await count_completed(parts) == CALLS

        await waiting.wait_until(is_done, 60, "all calls are completed")

    await assert_each_recorded_once(parts, calls)


async def test_two_recorders_share_the_work(
    parts: Parts, acme: Tenant, surroundings: Surroundings
) -> None:
    calls = [await commit_call(parts, acme) for _ in range(CALLS)]
    async with surroundings.run_recorder(), surroundings.run_recorder():
        await asyncio.gather(*(play_worker(parts, acme, call) for call in calls))

        async def is_done() -> bool:
            return await count_completed(parts) == CALLS

        await waiting.wait_until(is_done, 60, "all calls are completed")

    await assert_each_recorded_once(parts, calls)
    assert await support.count_rows(parts.database, tables.OutboxRow) == 0


async def test_sigterm_ends_it_at_once_also_while_postgres_is_away(
    parts: Parts, acme: Tenant, surroundings: Surroundings, postgres_server: Postgres
) -> None:
    call = await support.add_call(parts.database, acme)
    async with surroundings.run_recorder() as recorder:
        await postgres_server.process.kill()
        try:
            await play_worker(parts, acme, call)
            async with asyncio.timeout(10):
                await recorder.stop()
        finally:
            await postgres_server.process.start()

    log = next(surroundings.folder.glob("recorder-*.log")).read_text()
    assert "recorder stopped" in log
