"""Looking at a running stack from outside: cluster, store, events. Used by the end-to-end tests."""

import json
from typing import Any

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
