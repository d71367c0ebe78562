"""Tickets on the running stack: what kills and races may not change, and what stays afterwards."""

import asyncio
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from parlance.contracts.bus import subjects
from parlance.contracts.bus.subjects import Kind
from parlance.runtime import bus as buses
from parlance.runtime.settings import BusSettings

from devstack import audio_files, testdata, waiting
from devstack.api_client import ApiClient
from devstack.process import ServerProcess
from devstack.stack import Stack
from tests.e2e import observing

pytestmark = pytest.mark.asyncio(loop_scope="session")

BATCH = 50
BATCHES = 8
END_TIMEOUT_SECONDS = 120.0

Victim = Callable[[Stack], ServerProcess]
VICTIMS: dict[str, Victim] = {
    "api": lambda stack: stack.processes["api"],
    "recorder": lambda stack: stack.processes["recorder"],
    "text-worker": lambda stack: stack.processes["text-worker"],
    "nats": lambda stack: stack.nats.process,
    "postgres": lambda stack: stack.postgres.process,
}


def build_ticket(external_id: str) -> dict[str, Any]:
    return {
        "external_id": external_id,
        "messages": [
            {"role": "customer", "text": f"Where is my order {external_id}? I am really annoyed."},
            {"role": "agent", "text": "It is on its way, thank you for waiting."},
        ],
    }


async def post(client: ApiClient, body: object, **params: str) -> httpx.Response:
    """As a careful client does: what was not answered is sent again, which changes nothing."""
    async with asyncio.timeout(60):
        while True:
            try:
                answer = await client.post("/api/tickets/upload", body, **params)
            except httpx.TransportError:
                await asyncio.sleep(0.2)
                continue
            if answer.status_code < 500:
                return answer
            await asyncio.sleep(0.2)


async def post_batch(client: ApiClient, prefix: str, number: int) -> list[str]:
    """Returns the ids."""
    tickets = [build_ticket(f"{prefix}-{number}-{index}") for index in range(BATCH)]
    answer = await post(client, {"tickets": tickets})
    assert answer.status_code == 200, answer.text
    return [result["ticket_id"] for result in answer.json()["results"]]


async def wait_for_end(client: ApiClient, ticket_id: str) -> dict[str, Any]:
    async with asyncio.timeout(END_TIMEOUT_SECONDS):
        while True:
            try:
                answer = await client.get(f"/api/tickets/{ticket_id}", wait=10)
            except httpx.TransportError:
                await asyncio.sleep(0.2)
                continue
            if answer.status_code == 200 and answer.json()["state"] not in ("queued", "processing"):
                return dict(answer.json())
            assert answer.status_code in (200, 500, 502, 503), answer.text
            await asyncio.sleep(0.2)


async def require_all_completed(client: ApiClient, ticket_ids: Sequence[str]) -> None:
    """Each once, with a result that can be read."""
    assert len(set(ticket_ids)) == len(ticket_ids)
    for ticket_id in ticket_ids:
        ticket = await wait_for_end(client, ticket_id)
        assert ticket["state"] == "completed", ticket
        assert ticket["insights"]["segment_sentiments"], ticket


async def test_tickets_survive_the_death_of_every_process_in_turn(
    stack: Stack, client: ApiClient
) -> None:
    ticket_ids: list[str] = []
    for number, victim in enumerate(VICTIMS):
        process = VICTIMS[victim](stack)
        ticket_ids += await post_batch(client, "kill", number)
        posting = asyncio.create_task(post_batch(client, "kill-meanwhile", number))
        await process.kill()
        await process.start()
        ticket_ids += await posting

    await require_all_completed(client, ticket_ids)


async def test_tickets_survive_the_loss_of_the_whole_bus(stack: Stack, client: ApiClient) -> None:
    ticket_ids = [
        ticket_id
        for number in range(BATCHES)
        for ticket_id in await post_batch(client, "wipe", number)
    ]

    await stack.nats.wipe()

    await require_all_completed(client, ticket_ids)


async def test_fifty_parallel_posts_of_one_ticket_are_one_ticket(client: ApiClient) -> None:
    ticket = build_ticket("parallel")

    answers = await asyncio.gather(*(post(client, ticket) for _ in range(50)))

    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    assert len({answer.json()["ticket_id"] for answer in answers}) == 1


async def test_parallel_appends_leave_one_thread_with_every_message_once(
    client: ApiClient,
) -> None:
    ticket = build_ticket("appended")
    ticket_id = (await post(client, ticket)).json()["ticket_id"]

    def reply(number: int) -> dict[str, Any]:
        new = {"id": f"reply-{number}", "role": "agent", "text": f"Reply {number}."}
        return {**ticket, "messages": [*ticket["messages"], new]}

    answers = await asyncio.gather(
        *(post(client, reply(number % 10), mode="append") for number in range(20))
    )

    assert {answer.status_code for answer in answers} == {200}
    ticket = await wait_for_end(client, ticket_id)
    texts = [message["text"] for message in ticket["messages"]]
    assert sorted(texts[2:]) == sorted(f"Reply {number}." for number in range(10))
    assert len({message["index"] for message in ticket["messages"]}) == 12
    assert set(ticket["insights"]["segment_sentiments"]) == {str(index) for index in range(12)}


@pytest.mark.parametrize("length", [15_000, 17_000])
async def test_conversations_around_the_bound_of_a_message_leave_no_objects(
    stack: Stack, client: ApiClient, length: int
) -> None:
    """What is larger than `CARRIED_BYTES` goes through the store."""
    ticket = build_ticket(f"of {length}")
    ticket["messages"][0]["text"] = ("The refund is late. " * length)[:length]
    ticket_id = (await post(client, ticket)).json()["ticket_id"]
    found = await wait_for_end(client, ticket_id)
    assert found["state"] == "completed"
    assert len(found["messages"][0]["text"]) == length

    def is_clean() -> bool:
        return not [key for key in observing.list_objects(stack) if ticket_id in key]

    await waiting.wait_until(is_clean, 30, "its objects are gone")


async def test_a_ticket_never_waits_for_a_call(
    stack: Stack, client: ApiClient, tmp_path: pathlib.Path
) -> None:
    recording = await testdata.make_long_call(600.0)
    path = audio_files.write_unique(recording.path, tmp_path / "call.wav", 90)
    call_id = await client.create_call(path)

    ticket_id = (await post(client, build_ticket("beside a call"))).json()["ticket_id"]
    ticket = await wait_for_end(client, ticket_id)

    assert ticket["state"] == "completed"
    call = await client.fetch_call(call_id)
    assert call["status"] in ("queued", "processing"), "the call was over before"
    await client.delete(f"/api/calls/{call_id}")


async def test_a_deleted_ticket_leaves_nothing_behind(stack: Stack, client: ApiClient) -> None:
    ticket_id = (await post(client, build_ticket("deleted"))).json()["ticket_id"]
    assert (await wait_for_end(client, ticket_id))["state"] == "completed"

    answer = await client.delete(f"/api/tickets/{ticket_id}")

    assert answer.status_code == 204
    assert (await client.get(f"/api/tickets/{ticket_id}")).status_code == 410

    async def is_gone() -> bool:
        objects = [key for key in observing.list_objects(stack) if ticket_id in key]
        return not objects and not await count_events(stack, ticket_id)

    await waiting.wait_until(is_gone, 30, "objects and events are gone")


async def count_events(stack: Stack, ticket_id: str) -> int:
    settings = BusSettings(
        nats_url=stack.nats.url,
        job_ack_wait_seconds=float(stack.environment["PARLANCE_JOB_ACK_WAIT_SECONDS"]),
    )
    async with buses.open_bus(settings, client_name="test") as bus:
        return sum(
            [
                stored.envelope.subject == ticket_id
                async for stored in bus.read_events(subjects.format_events_of_kind(Kind.TICKET))
            ]
        )
