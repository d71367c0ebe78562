"""A small client of Parlance's HTTP API: for the demo, the end-to-end tests and the benchmarks."""

import asyncio
import contextlib
import dataclasses
import json
import pathlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import httpx

from devstack import errors

TERMINAL_TYPES = frozenset({"call.completed", "call.failed", "call.cancelled"})
UPLOAD_TIMEOUT_SECONDS = 300.0
SILENCE_TIMEOUT_SECONDS = 45.0
"""A stream is pinged every 15 s: three missed pings mean a dead connection."""


@dataclasses.dataclass(frozen=True)
class Event:
    """One server-sent event."""

    id: int | None
    type: str
    data: dict[str, Any]

    @property
    def is_terminal(self) -> bool:
        return self.type in TERMINAL_TYPES


class ApiClient:
    """Talks to one API with one key; open it with `async with`."""

    def __init__(self, url: str, api_key: str) -> None:
        self.url = url
        self.api_key = api_key
        self._http = httpx.AsyncClient(
            base_url=url, headers={"X-Api-Key": api_key}, timeout=30.0, trust_env=False
        )

    async def __aenter__(self) -> "ApiClient":
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._http.aclose()

    async def upload(self, path: pathlib.Path, **fields: str) -> httpx.Response:
        """`POST /api/add-calls` with a file; the answer as it came."""
        with path.open("rb") as file:
            return await self._http.post(
                "/api/add-calls",
                data={"api_key": self.api_key, **fields},
                files={"call": (path.name, file)},
                timeout=UPLOAD_TIMEOUT_SECONDS,
            )

    async def create_call(self, path: pathlib.Path, **fields: str) -> str:
        """Upload and return the call id; anything but 201 is an error."""
        answer = await self.upload(path, **fields)
        assert answer.status_code == 201, f"{answer.status_code}: {answer.text}"
        return str(answer.json()["call_id"])

    async def get(self, path: str, **params: str | int) -> httpx.Response:
        return await self._http.get(
            path, params=params, timeout=30.0 + float(params.get("wait", 0))
        )

    async def post(self, path: str, body: object, **params: str | int) -> httpx.Response:
        """A JSON body."""
        return await self._http.post(path, json=body, params=params)

    async def delete(self, path: str) -> httpx.Response:
        return await self._http.delete(path)

    async def fetch_call(self, call_id: str) -> dict[str, Any]:
        answer = await self.get(f"/api/calls/{call_id}")
        assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
        return dict(answer.json())

    async def wait_for_end(self, call_id: str, timeout_seconds: float) -> dict[str, Any]:
        """Poll (long) until the call is terminal; survives an API that is away for a while."""
        call: dict[str, Any] = {}
        try:
            async with asyncio.timeout(timeout_seconds):
                while call.get("status") not in ("completed", "failed", "cancelled"):
                    call = await self._poll(call_id)
        except TimeoutError:
            what = f"call {call_id} has ended (last seen {call.get('status')})"
            raise errors.NotInTime(what, timeout_seconds) from None
        return call

    async def _poll(self, call_id: str) -> dict[str, Any]:
        try:
            answer = await self._http.get(f"/api/calls/{call_id}", params={"wait": 10})
        except httpx.TransportError:
            await asyncio.sleep(0.2)
            return {}
        if answer.status_code >= 500:
            await asyncio.sleep(0.2)
            return {}
        assert answer.status_code == 200, f"{answer.status_code}: {answer.text}"
        return dict(answer.json())

    async def stream_events(
        self, call_id: str, *, last_event_id: int | None = None
    ) -> AsyncGenerator[Event, None]:
        """Events of one connection; ends when the server closes it."""
        headers = {"Accept": "text/event-stream"}
        if last_event_id is not None:
            headers["Last-Event-ID"] = str(last_event_id)
        timeout = httpx.Timeout(30.0, read=SILENCE_TIMEOUT_SECONDS)
        async with self._http.stream(
            "GET", f"/api/calls/{call_id}/events", headers=headers, timeout=timeout
        ) as answer:
            assert answer.status_code == 200, f"{answer.status_code}: {await answer.aread()!r}"
            async for event in _parse_events(answer.aiter_lines()):
                yield event

    async def follow(self, call_id: str) -> AsyncGenerator[Event, None]:
        """Events until a terminal one, over as many connections as it takes."""
        last: int | None = None
        while True:
            try:
                stream = self.stream_events(call_id, last_event_id=last)
                async with contextlib.aclosing(stream):
                    async for event in stream:
                        last = event.id if event.id is not None else last
                        yield event
                        if event.is_terminal:
                            return
            except httpx.TransportError:
                await asyncio.sleep(0.2)


async def _parse_events(lines: AsyncIterator[str]) -> AsyncIterator[Event]:
    """The wire format of server-sent events, as far as Parlance uses it."""
    fields: dict[str, str] = {}
    async for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        if "data" in fields:
            number = fields.get("id")
            yield Event(
                id=int(number) if number else None,
                type=fields.get("event", "message"),
                data=json.loads(fields["data"]),
            )
        fields = {}
