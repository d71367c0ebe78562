"""Server-sent events: whatever happens to the connection, each event once and in order."""

import asyncio
import contextlib
import pathlib
import random
import sys

import httpx
import pytest

from devstack import audio_files, testdata
from devstack.api_client import ApiClient, Event
from devstack.stack import Stack
from tests.e2e import observing

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("speech")]

CUTS = 50


async def test_a_client_cut_fifty_times_sees_every_event_once_and_in_order(
    stack: Stack, client: ApiClient, tmp_path: pathlib.Path
) -> None:
    long_call = await testdata.make_long_call(900.0)
    call_id = await client.create_call(
        audio_files.write_unique(long_call.path, tmp_path / "long.wav", 50)
    )
    chance = random.Random(50)
    seen: list[Event] = []
    async with contextlib.AsyncExitStack() as opened:
        clients = [
            await opened.enter_async_context(ApiClient(url, stack.credentials.api_key))
            for url in stack.urls
        ]
        cuts = 0
        while not (seen and seen[-1].is_terminal):
            last = next((event.id for event in reversed(seen) if event.id is not None), None)
            stream = chance.choice(clients).stream_events(call_id, last_event_id=last)
            # By time, so that cuts fall anywhere; by number too, so that a machine which finishes
            # the call sooner is cut no less often.
            is_cut = cuts < CUTS
            patience_seconds = chance.uniform(0.0, 0.6) if is_cut else 120.0
            patience_events = chance.randint(1, 2) if is_cut else sys.maxsize
            with contextlib.suppress(TimeoutError, httpx.TransportError):
                async with asyncio.timeout(patience_seconds), contextlib.aclosing(stream):
                    async for event in stream:
                        seen.append(event)
                        patience_events -= event.id is not None
                        if patience_events == 0:
                            break
            cuts += 1

    await client.wait_for_end(call_id, 120)
    whole = await observing.fetch_all_events(client, call_id)
    assert cuts > CUTS
    numbered = [event for event in seen if event.id is not None]
    assert [event.id for event in numbered] == [event.id for event in whole if event.id is not None]
    assert len(set(observing.segment_ids(numbered))) == len(observing.segment_ids(numbered)) > 20
    assert numbered[-1].type == "call.completed"


async def test_the_first_segment_comes_long_before_the_end(
    client: ApiClient, tmp_path: pathlib.Path
) -> None:
    long_call = await testdata.make_long_call(450.0)
    call_id = await client.create_call(
        audio_files.write_unique(long_call.path, tmp_path / "long.wav", 51)
    )
    started = asyncio.get_running_loop().time()
    first_seconds = None
    async for event in client.follow(call_id):
        if event.type == "call.segment" and first_seconds is None:
            first_seconds = asyncio.get_running_loop().time() - started

    end_seconds = asyncio.get_running_loop().time() - started
    assert first_seconds is not None
    assert first_seconds < end_seconds / 3
