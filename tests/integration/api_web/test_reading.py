"""Reading, following and deleting calls over a real socket."""

import asyncio
import base64
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from parlance.api.identity.scopes import Scope
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus import envelopes
from parlance.contracts.calls import CallStatus, Stage
from parlance.contracts.ids import CallId, CompanySlug
from parlance.runtime.bus import Bus

from devstack import waiting
from tests.integration.api_web import support
from tests.integration.api_web.support import Account, Api

FORGED_CURSOR = base64.urlsafe_b64encode(
    json.dumps(["0001-01-01T00:00:00+14:00", str(uuid.UUID(int=0))]).encode()
).decode()
"""Before the first day of the calendar, in UTC."""
NOBODYS_ID = "0190b000-0000-4000-8000-00000000000f"
TEXTS = support.TEXTS


async def test_a_call_shows_its_result_once_it_is_completed(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    call_id = await support.add_call(api.database, acme, worker_id="ORD-1", extra={"a": 1})
    headers = support.authorize(acme)
    before = (await client.get(f"/api/calls/{call_id}", headers=headers)).json()
    await support.complete(api.database, acme, call_id)

    after = (await client.get(f"/api/calls/{call_id}", headers=headers)).json()

    assert (before["status"], before["text"], before["insights"]) == ("queued", None, None)
    assert (after["status"], after["worker_id"], after["metadata"]) == (
        "completed",
        "ORD-1",
        {"a": 1},
    )
    assert after["text"] == " ".join(TEXTS)
    assert [segment["role"] for segment in after["segments"]] == ["agent", "unknown"]
    assert after["insights"]["profile"] == "lexical"


async def test_a_known_etag_is_answered_without_a_body(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    call_id = await support.add_call(api.database, acme)
    first = await client.get(f"/api/calls/{call_id}", headers=support.authorize(acme))
    headers = support.authorize(acme) | {"If-None-Match": f'"other", W/{first.headers["etag"]}'}

    again = await client.get(f"/api/calls/{call_id}", headers=headers)

    assert (again.status_code, again.content) == (304, b"")


async def test_a_long_poll_answers_when_the_call_ends(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    call_id = await support.add_call(api.database, acme)
    polling = asyncio.create_task(
        client.get(f"/api/calls/{call_id}?wait=20", headers=support.authorize(acme))
    )
    await waiting.wait_until(lambda: support.count_listeners() == 1, 5, "the poll waits")
    assert not polling.done()
    await support.complete(api.database, acme, call_id)

    async with asyncio.timeout(5):
        assert (await polling).json()["status"] == "completed"


async def test_a_long_poll_ends_in_time(api: Api, client: httpx.AsyncClient, acme: Account) -> None:
    call_id = await support.add_call(api.database, acme)

    response = await client.get(f"/api/calls/{call_id}?wait=1", headers=support.authorize(acme))

    assert response.json()["status"] == "queued"


@pytest.mark.parametrize(
    ("kind", "media_type", "expected"),
    [
        (
            "txt",
            "text/plain; charset=utf-8",
            f"[00:00:00] Agent: {TEXTS[0]}\n[00:00:01] Speaker 2: {TEXTS[1]}\n",
        ),
        (
            "srt",
            "application/x-subrip; charset=utf-8",
            f"1\n00:00:00,000 --> 00:00:01,250\nAgent: {TEXTS[0]}\n\n"
            f"2\n00:00:01,500 --> 00:00:02,750\nSpeaker 2: {TEXTS[1]}\n",
        ),
        (
            "vtt",
            "text/vtt; charset=utf-8",
            "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\n"
            "<v Agent>Hello, this is &lt;b&gt;Ann&lt;/b&gt;.\n\n"
            "00:00:01.500 --> 00:00:02.750\n<v Speaker 2>I need help &amp; advice.\n",
        ),
    ],
)
async def test_a_transcript_comes_as_a_file(
    api: Api,
    client: httpx.AsyncClient,
    acme: Account,
    kind: str,
    media_type: str,
    expected: str,
) -> None:
    call_id = await support.add_call(api.database, acme)
    await support.complete(api.database, acme, call_id)

    response = await client.get(
        f"/api/calls/{call_id}/transcript?format={kind}", headers=support.authorize(acme)
    )

    assert response.text == expected
    assert response.headers["content-type"] == media_type


async def test_transcript_and_insights_come_as_json(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    call_id, headers = await support.add_call(api.database, acme), support.authorize(acme)
    await support.complete(api.database, acme, call_id)

    transcript = (await client.get(f"/api/calls/{call_id}/transcript", headers=headers)).json()
    insights = (await client.get(f"/api/calls/{call_id}/insights", headers=headers)).json()

    assert [segment["text"] for segment in transcript["segments"]] == list(TEXTS)
    assert transcript["language"] == "en"
    assert insights["call_id"] == call_id


@pytest.mark.parametrize("part", ["transcript", "insights"])
async def test_a_result_that_is_not_there_yet_is_to_be_asked_for_later(
    api: Api, client: httpx.AsyncClient, acme: Account, part: str
) -> None:
    call_id = await support.add_call(api.database, acme)

    response = await client.get(f"/api/calls/{call_id}/{part}", headers=support.authorize(acme))

    assert (response.status_code, support.problem_of(response)) == (409, "not_ready")
    assert response.json()["retryable"] is True
    assert "retry-after" in response.headers


PATHS = ("", "/transcript", "/insights", "/audio", "/events")


@pytest.mark.parametrize("path", PATHS)
async def test_a_call_of_another_company_is_not_there(
    api: Api, client: httpx.AsyncClient, acme: Account, path: str
) -> None:
    globex = await support.add_account(api.database, "globex")
    call_id = await support.add_call(api.database, globex)

    response = await client.get(f"/api/calls/{call_id}{path}", headers=support.authorize(acme))

    assert (response.status_code, support.problem_of(response)) == (404, "not_found")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("call_id", ["nonsense", NOBODYS_ID])
async def test_an_id_that_nobody_has_is_not_there(
    client: httpx.AsyncClient, acme: Account, path: str, call_id: str
) -> None:
    response = await client.get(f"/api/calls/{call_id}{path}", headers=support.authorize(acme))

    assert (response.status_code, support.problem_of(response)) == (404, "not_found")


@pytest.mark.parametrize("path", ["/api/calls", f"/api/calls/{NOBODYS_ID}", "/api/events"])
async def test_reading_needs_a_key(client: httpx.AsyncClient, path: str) -> None:
    response = await client.get(path)

    assert (response.status_code, support.problem_of(response)) == (401, "unauthenticated")
    assert "www-authenticate" in response.headers


async def test_pages_show_every_call_once_newest_first(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    ids = [
        await support.add_call(
            api.database, acme, created_at=moment + timedelta(minutes=number // 2)
        )
        for number in range(7)
    ]
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = f"&cursor={cursor}" if cursor else ""
        page = (
            await client.get(f"/api/calls?limit=3{query}", headers=support.authorize(acme))
        ).json()
        found += [call["id"] for call in page["items"]]
        cursor = page["next_cursor"]

    assert sorted(found) == sorted(ids)
    assert found[0] == ids[-1]


async def test_a_list_can_be_narrowed(api: Api, client: httpx.AsyncClient, acme: Account) -> None:
    user_id = await support.add_user(api.database, acme, "7")
    wanted = await support.add_call(
        api.database,
        acme,
        user_id=uuid.UUID(user_id),
        customer_name="Acme",
        worker_id="W",
        external_id="E",
        status=CallStatus.FAILED,
    )
    await support.add_call(api.database, acme)
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    queries = [
        {"status": "failed"},
        {"agent": user_id},
        {"customer": "Acme"},
        {"worker_id": "W"},
        {"external_id": "E"},
        {"worker_id": "W", "created_after": past, "updated_since": past},
    ]

    for query in queries:
        page = (
            await client.get("/api/calls", params=query, headers=support.authorize(acme))
        ).json()
        assert [call["id"] for call in page["items"]] == [wanted], query
    page = (
        await client.get(
            "/api/calls", params={"created_before": past}, headers=support.authorize(acme)
        )
    ).json()
    assert page["items"] == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "cursor=nonsense",
        f"cursor={FORGED_CURSOR}",
        "status=lost",
        "agent=me",
        "customer=%00",
        "worker_id=a%00b",
        "external_id=%00",
        "created_after=0001-01-01T00:00:00%2B14:00",
        "updated_since=9999-12-31T23:59:59-14:00",
    ],
)
async def test_a_wrong_parameter_is_named(
    client: httpx.AsyncClient, acme: Account, query: str
) -> None:
    response = await client.get(f"/api/calls?{query}", headers=support.authorize(acme))

    assert (response.status_code, support.problem_of(response)) == (422, "validation_failed")
    assert [error["pointer"] for error in response.json()["errors"]] == [
        f"/{query.partition('=')[0]}"
    ]


async def test_audio_comes_back_whole_and_in_parts(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    wav = support.make_wav()
    created = await client.post(
        "/api/add-calls", data={"api_key": acme.key}, files={"call": ("ä.wav", wav)}
    )
    url = created.json()["audio_url"]

    async def get(range_: str = "") -> httpx.Response:
        headers = support.authorize(acme) | ({"Range": range_} if range_ else {})
        return await client.get(url, headers=headers)

    whole, part, tail, beyond = (
        await get(),
        await get("bytes=4-7"),
        await get("bytes=-10"),
        await get(f"bytes={len(wav)}-"),
    )

    assert (whole.status_code, whole.content) == (200, wav)
    assert whole.headers["content-type"] == "audio/wav"
    assert (part.status_code, part.content) == (206, wav[4:8])
    assert part.headers["content-range"] == f"bytes 4-7/{len(wav)}"
    assert (tail.status_code, tail.content) == (206, wav[-10:])
    assert beyond.status_code == 416


@pytest.mark.parametrize("hint", ["text/html", "image/svg+xml", "audio/x-unknown", None])
async def test_audio_of_a_type_that_we_do_not_know_is_only_bytes(
    api: Api, client: httpx.AsyncClient, acme: Account, hint: str | None
) -> None:
    """Whoever writes a CallJob by hand chooses its media type."""
    page = b"<script>alert(1)</script>"
    key = "acme/calls/x/audio.bin"
    (api.objects / key).parent.mkdir(parents=True)
    (api.objects / key).write_bytes(page)
    call_id = await support.add_call(api.database, acme, audio_key=key, media_type=hint)

    response = await client.get(f"/api/calls/{call_id}/audio", headers=support.authorize(acme))

    assert (response.status_code, response.content) == (200, page)
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-disposition"].startswith("attachment;")
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_no_script_runs_in_audio_that_is_played(
    client: httpx.AsyncClient, acme: Account
) -> None:
    created = await client.post(
        "/api/add-calls",
        data={"api_key": acme.key},
        files={"call": ("a.wav", support.make_wav())},
    )
    response = await client.get(created.json()["audio_url"], headers=support.authorize(acme))

    assert response.headers["content-security-policy"] == "sandbox"
    assert response.headers["content-disposition"].startswith("inline;")


async def test_a_deleted_call_is_gone_with_everything(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    created = await client.post(
        "/api/add-calls",
        data={"api_key": acme.key},
        files={"call": ("a.wav", support.make_wav())},
    )
    path = f"/api/calls/{created.json()['call_id']}"

    deleted = await client.delete(path, headers=support.authorize(acme))
    again = await client.delete(path, headers=support.authorize(acme))
    read = await client.get(path, headers=support.authorize(acme))

    assert (deleted.status_code, again.status_code) == (204, 204)
    assert (read.status_code, support.problem_of(read)) == (410, "gone")
    rows = await support.count_rows(api.database)
    assert (rows["calls"], rows["outbox"]) == (0, 0)


async def test_deleting_needs_the_scope(api: Api, client: httpx.AsyncClient) -> None:
    reader = await support.add_account(api.database, "readers", Scope.CALLS_READ)
    call_id = await support.add_call(api.database, reader)

    response = await client.delete(f"/api/calls/{call_id}", headers=support.authorize(reader))

    assert (response.status_code, support.problem_of(response)) == (403, "forbidden")


def completed(call_id: str) -> envelopes.Envelope:
    data = call_events.Completed(
        transcript_key="k", transcript_sha256="0", segments=2, duration_seconds=3.5
    )
    return call_events.build_event(
        data, company=CompanySlug("acme"), call_id=CallId(call_id), attempt=1
    )


async def read_events(
    client: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> list[tuple[str, str, Any]]:
    """(id, name, data) of each event until the server ends the stream."""
    found = []
    async with client.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-accel-buffering"] == "no"
        assert response.headers["cache-control"] == "no-store"
        fields: dict[str, str] = {}
        async for line in response.aiter_lines():
            if not line and "event" in fields:
                found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
                fields = {}
            key, _, value = line.partition(": ")
            fields[key] = value
    return found


async def test_a_stream_shows_the_call_its_events_and_ends(
    api: Api, client: httpx.AsyncClient, acme: Account, api_bus: Bus
) -> None:
    call_id = await support.add_call(api.database, acme)
    progress = call_events.Progress(
        percent=50, stage=Stage.TRANSCRIBE, processed_seconds=1, total_seconds=2
    )
    first = await api_bus.publish_event(
        call_events.build_event(
            progress, company=CompanySlug("acme"), call_id=CallId(call_id), attempt=1
        )
    )
    last = await api_bus.publish_event(completed(call_id))

    path = f"/api/calls/{call_id}/events"
    events = await read_events(client, path, support.authorize(acme))
    resumed = await read_events(
        client, path, support.authorize(acme) | {"Last-Event-ID": str(first)}
    )
    finished = await client.get(
        path, headers=support.authorize(acme) | {"Last-Event-ID": str(last)}
    )
    replayed = await read_events(client, f"{path}?from=0", support.authorize(acme))

    assert [(id_, name) for id_, name, _ in events] == [
        ("", "snapshot"),
        (str(first), "call.progress"),
        (str(last), "call.completed"),
    ]
    assert events[0][2]["id"] == call_id
    assert events[1][2]["data"]["percent"] == 50
    assert [name for _, name, _ in resumed] == ["call.completed"]
    assert finished.status_code == 204
    assert [name for _, name, _ in replayed] == ["call.progress", "call.completed"]


async def test_open_streams_and_polls_end_with_the_process(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    call_id = await support.add_call(api.database, acme)
    stream = asyncio.create_task(
        read_events(client, f"/api/calls/{call_id}/events", support.authorize(acme))
    )
    poll = asyncio.create_task(
        client.get(f"/api/calls/{call_id}?wait=30", headers=support.authorize(acme))
    )
    await waiting.wait_until(lambda: support.count_listeners() == 2, 5, "both listen")

    api.process.stop()

    async with asyncio.timeout(3):
        assert [name for _, name, _ in await stream] == ["snapshot"]
        assert (await poll).json()["status"] == "queued"


async def test_a_call_that_waits_is_cancelled_at_once(
    api: Api, client: httpx.AsyncClient, acme: Account
) -> None:
    created = await client.post(
        "/api/add-calls",
        data={"api_key": acme.key},
        files={"call": ("a.wav", support.make_wav())},
    )
    path = f"/api/calls/{created.json()['call_id']}"

    cancelled = await client.post(f"{path}/cancel", headers=support.authorize(acme))
    again = await client.post(f"{path}/cancel", headers=support.authorize(acme))
    events = await read_events(client, f"{path}/events", support.authorize(acme))

    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    assert (again.status_code, support.problem_of(again)) == (409, "already_finished")
    assert [name for _, name, _ in events] == ["snapshot", "call.cancelled"]
    assert (await support.count_rows(api.database))["outbox"] == 0
