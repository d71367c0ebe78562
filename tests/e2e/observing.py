"""Looking at a running stack from outside: cluster, store, events. Used by the end-to-end tests."""

import json
from typing import Any

from parlance.contracts.bus import subjects
from parlance.contracts.bus.calls import EventType
from parlance.contracts.bus.subjects import Kind
from parlance.runtime import bus as buses
from parlance.runtime.settings import BusSettings

from devstack.api_client import ApiClient, Event
from devstack.stack import Stack


async def fetch_job(stack: Stack, name: str) -> dict[str, Any]:
    """A CallJob as kubectl shows it."""
    text = await stack.cluster.run_kubectl(
        "-n", stack.namespace, "get", "calljob", name, "-o", "json"
    )
    return dict(json.loads(text))


async def list_jobs(stack: Stack) -> set[str]:
    text = await stack.cluster.run_kubectl("-n", stack.namespace, "get", "calljobs", "-o", "name")
    return {line.partition("/")[2] for line in text.split()}


def list_objects(stack: Stack) -> set[str]:
    """Keys of everything in the store's folder."""
    root = stack.folder / "objects"
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


async def fetch_all_events(client: ApiClient, call_id: str) -> list[Event]:
    """All events of a finished call, from the beginning."""
    return [event async for event in client.follow(call_id)]


async def count_windows_on_the_bus(stack: Stack, call_id: str) -> int:
    """Every window that a worker has told of, after the end of the call too."""
    settings = BusSettings(
        nats_url=stack.nats.url,
        job_ack_wait_seconds=float(stack.environment["PARLANCE_JOB_ACK_WAIT_SECONDS"]),
    )
    async with buses.open_bus(settings, client_name="test") as bus:
        return sum(
            [
                (stored.envelope.subject, stored.envelope.type) == (call_id, EventType.SEGMENT)
                async for stored in bus.read_events(subjects.format_events_of_kind(Kind.CALL))
            ]
        )


def segment_ids(events: list[Event]) -> list[str]:
    """Ids of all segments in the order of the events."""
    return [
        segment["id"]
        for event in events
        if event.type == "call.segment"
        for segment in event.data["data"]["segments"]
    ]


async def fetch_transcript(client: ApiClient, call_id: str) -> str:
    """All that was said, in order."""
    answer = await client.get(f"/api/calls/{call_id}/transcript")
    assert answer.status_code == 200, answer.text
    return " ".join(segment["text"] for segment in answer.json()["segments"])
