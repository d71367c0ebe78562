"""What is noted of a request: the time until its answer was complete."""

import asyncio
from typing import Any

import prometheus_client
from parlance.api.http.edge import Edge

ROUTE = "/test/edge"


def read_count() -> float:
    labels = {"method": "GET", "route": ROUTE}
    name = "parlance_http_request_seconds_count"
    return prometheus_client.REGISTRY.get_sample_value(name, labels) or 0.0


async def test_work_after_the_answer_is_not_part_of_the_request() -> None:
    """The framework runs background tasks before it returns."""
    has_answered, may_end = asyncio.Event(), asyncio.Event()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        has_answered.set()
        await may_end.wait()

    async def ignore(*_: Any) -> Any:
        return None

    scope: Any = {
        "type": "http",
        "method": "GET",
        "path": ROUTE,
        "path_template": ROUTE,
        "headers": [],
        "state": {},
    }
    before = read_count()
    running = asyncio.create_task(Edge(app)(scope, ignore, ignore))
    await has_answered.wait()

    assert read_count() == before + 1
    may_end.set()
    await running
    assert read_count() == before + 1
