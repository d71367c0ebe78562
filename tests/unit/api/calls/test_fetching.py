"""Addresses that may not be fetched: whoever asks learns nothing about our network."""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, cast

import pytest
from parlance.api.domain.calls.uploads.fetching import UrlFetcher
from parlance.api.domain.calls.uploads.upload import Upload
from parlance.api.http.errors import Refused
from parlance.runtime.fetch import Fetcher, FetchPolicy

REFUSAL_SECONDS = 0.2


class Asked:
    """The part of an upload that is needed here."""

    audio_field = "audio_url"


async def find_internal(_name: str, _port: int) -> Sequence[str]:
    return ["10.0.0.7"]


async def find_nothing(_name: str, _port: int) -> Sequence[str]:
    await asyncio.sleep(0.05)  # a name that nobody knows is asked for elsewhere
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


async def refuse(resolve: Any) -> tuple[Refused, float]:
    """The refusal of an address, and the seconds until it came."""
    fetcher = UrlFetcher(Fetcher(FetchPolicy(max_bytes=1000), resolve=resolve), REFUSAL_SECONDS)
    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises(Refused) as refusal:
        await fetcher.take(cast("Upload", Asked()), "http://billing.corp.example/a.wav")
    return refusal.value, loop.time() - started


async def test_a_name_inside_our_network_is_refused_like_one_that_does_not_exist() -> None:
    (inside, inside_seconds), (nowhere, nowhere_seconds) = [
        await refuse(find) for find in (find_internal, find_nothing)
    ]

    assert (inside.problem, inside.detail, inside.errors, inside.members) == (
        nowhere.problem,
        nowhere.detail,
        nowhere.errors,
        nowhere.members,
    )
    assert min(inside_seconds, nowhere_seconds) > REFUSAL_SECONDS - 0.01
