"""The object store adapter, over a folder and over S3."""

import dataclasses
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from parlance.runtime import store as store_module
from parlance.runtime.errors import InvalidKey, ObjectNotFound, StoreRefused, StoreUnavailable
from parlance.runtime.settings import StoreSettings
from parlance.runtime.store import Store

from devstack import seaweedfs
from tests.integration.runtime.conftest import build_s3_settings

BLOCK = os.urandom(1 << 16)


async def blocks(count: int, *, fails_at: int | None = None) -> AsyncIterator[bytes]:
    for index in range(count):
        if index == fails_at:
            raise ConnectionAbortedError("the client is gone")
        yield BLOCK


def build_file_settings(folder: Path) -> StoreSettings:
    return StoreSettings(store_url=f"file://{folder}")


async def keys(store: Store, prefix: str) -> set[str]:
    return {stored.key async for stored in store.list(prefix)}


async def test_a_stream_is_stored_whole_with_its_hash(store: Store) -> None:
    stored = await store.put_stream("acme/calls/1/audio.wav", blocks(300))

    assert stored.size_bytes == 300 * len(BLOCK)
    assert stored.sha256 == hashlib.sha256(BLOCK * 300).hexdigest()
    assert (await store.head(stored.key)).size_bytes == stored.size_bytes
    assert await store.get_bytes(stored.key) == BLOCK * 300


async def test_a_stream_that_fails_leaves_nothing_and_its_own_error(store: Store) -> None:
    with pytest.raises(ConnectionAbortedError):
        await store.put_stream("acme/calls/2/audio.wav", blocks(300, fails_at=200))

    assert await keys(store, "acme/") == set()
    with pytest.raises(ObjectNotFound):
        await store.head("acme/calls/2/audio.wav")


async def test_ranges_end_where_the_object_ends(store: Store) -> None:
    await store.put_bytes("acme/calls/3/x", b"0123456789")

    assert await store.read_range("acme/calls/3/x", 2, 3) == b"234"
    assert await store.read_range("acme/calls/3/x", 8, 100) == b"89"
    assert await store.read_range("acme/calls/3/x", 10, 5) == b""
    assert await store.read_range("acme/calls/3/x", 99, 5) == b""
    assert await store.read_range("acme/calls/3/x", 3, 0) == b""


async def test_an_empty_object_has_nothing_to_read(store: Store) -> None:
    await store.put_bytes("acme/calls/3/empty", b"")

    assert await store.read_range("acme/calls/3/empty", 0, 5) == b""
    assert [block async for block in store.stream("acme/calls/3/empty")] == []


@pytest.mark.parametrize("count", [16, 40, 48])  # of 64 KiB: whole blocks of a stream, and not
async def test_streaming_without_an_end_gives_everything(store: Store, count: int) -> None:
    await store.put_stream("acme/calls/4/x", blocks(count))

    assert b"".join([block async for block in store.stream("acme/calls/4/x")]) == BLOCK * count


async def test_streaming_a_part_gives_exactly_that_part(store: Store) -> None:
    await store.put_stream("acme/calls/4/x", blocks(40))

    part = b"".join([block async for block in store.stream("acme/calls/4/x", start=5, end=70_000)])

    assert part == (BLOCK * 40)[5:70_000]


async def test_rename_moves_and_replaces(store: Store) -> None:
    await store.put_bytes("staging/1", b"new")
    await store.put_bytes("acme/calls/5/audio.wav", b"old")

    await store.rename("staging/1", "acme/calls/5/audio.wav")

    assert await store.get_bytes("acme/calls/5/audio.wav") == b"new"
    assert await keys(store, "staging/") == set()


async def test_deleting_a_prefix_takes_all_of_it_and_nothing_else(store: Store) -> None:
    for key in ("acme/calls/6/a", "acme/calls/6/b/c", "acme/calls/66/a"):
        await store.put_bytes(key, b"x")

    assert await store.delete_prefix("acme/calls/6/") == 2
    assert await keys(store, "acme/") == {"acme/calls/66/a"}


async def test_deleting_what_is_not_there_is_fine(store: Store) -> None:
    await store.delete("acme/calls/7/nothing")


@pytest.mark.parametrize(
    "key",
    ["../outside", "a/../../b", "/etc/passwd", "a//b", "a\0b", "", "/".join(["é" * 100] * 6)],
)
async def test_what_is_no_key_is_refused(store: Store, key: str) -> None:
    for attempt in (store.head(key), store.read_range(key, 0, 1), store.put_bytes(key, b"x")):
        with pytest.raises(InvalidKey):
            await attempt


@pytest.mark.parametrize(
    "key",
    [
        "acme/calls/9/audio.wav/x",
        "acme/calls/9",
        f"acme/calls/9/{'n' * 256}",
        f"acme/calls/9/{'é' * 128}",
        f"{'n' * 256}/audio.wav",
    ],
    ids=["below a file", "a folder", "long name", "long in UTF-8", "long folder"],
)
async def test_what_can_be_an_object_in_some_stores_only_is_not_found(
    store: Store, key: str
) -> None:
    await store.put_bytes("acme/calls/9/audio.wav", b"x")

    for attempt in (store.head(key), store.get_bytes(key), store.read_range(key, 0, 1)):
        with pytest.raises(ObjectNotFound):
            await attempt
    with pytest.raises(ObjectNotFound):
        await anext(store.stream(key))
    await store.delete(key)  # of what is not there

    assert await keys(store, "acme/") == {"acme/calls/9/audio.wav"}


async def test_an_object_is_not_moved_from_below_another(store: Store) -> None:
    await store.put_bytes("acme/calls/9/audio.wav", b"x")

    with pytest.raises(ObjectNotFound):
        await store.rename("acme/calls/9/audio.wav/x", "acme/calls/9/y")

    assert await keys(store, "acme/") == {"acme/calls/9/audio.wav"}


@pytest.mark.parametrize(
    "key",
    ["acme/calls/9/audio.wav/x", "acme/calls", "acme/calls/9/" + "n" * 256],
    ids=["below a file", "a folder", "long name"],
)
async def test_what_a_folder_cannot_hold_is_not_tried_again(tmp_path: Path, key: str) -> None:
    async with store_module.open_store(build_file_settings(tmp_path)) as store:
        await store.put_bytes("acme/calls/9/audio.wav", b"x")

        for attempt in (
            store.put_bytes(key, b"y"),
            store.put_stream(key, blocks(1)),
            store.rename("acme/calls/9/audio.wav", key),
        ):
            with pytest.raises(InvalidKey):
                await attempt

        assert await keys(store, "") == {"acme/calls/9/audio.wav"}


@pytest.mark.parametrize("is_file_there", [False, True])
async def test_a_folder_that_is_away_says_nothing_of_a_key(
    tmp_path: Path, is_file_there: bool
) -> None:
    folder = tmp_path / "objects"
    async with store_module.open_store(build_file_settings(folder)) as store:
        folder.rmdir()
        if is_file_there:
            folder.write_bytes(b"a file where the folder was")
        attempts = [store.head("a/x"), store.get_bytes("a/x"), store.read_range("a/x", 0, 1)]
        if is_file_there:  # otherwise writing makes the folder anew
            attempts += [store.put_bytes("a/x", b"x"), store.put_stream("a/x", blocks(1))]

        for attempt in attempts:
            with pytest.raises(StoreUnavailable):
                await attempt


async def test_a_folder_that_fails_in_another_way_is_worth_another_try(tmp_path: Path) -> None:
    """A link to itself stands for a broken disk."""
    async with store_module.open_store(build_file_settings(tmp_path)) as store:
        await store.put_bytes("acme/x", b"x")
        (tmp_path / "acme" / "loop").symlink_to("loop")

        for attempt in (
            store.head("acme/loop/x"),
            store.get_bytes("acme/loop/x"),
            store.read_range("acme/loop/x", 0, 1),
            store.put_bytes("acme/loop/x", b"x"),
            store.put_stream("acme/loop/x", blocks(1)),
            store.rename("acme/x", "acme/loop/x"),
        ):
            with pytest.raises(StoreUnavailable):
                await attempt


async def test_only_a_store_with_links_gives_links(store: Store) -> None:
    await store.put_bytes("acme/calls/8/x", b"x")

    link = await store.presign("acme/calls/8/x", expires_seconds=60)

    assert link is None or link.startswith("http")


async def test_an_unreachable_store_is_worth_another_try() -> None:
    settings = StoreSettings.model_validate(
        {
            "store_url": "s3://nowhere",
            "store_endpoint": "http://127.0.0.1:9",
            "store_access_key": "x",
            "store_secret_key": "y",
            "store_timeout_seconds": 1,
        }
    )
    async with store_module.open_store(settings) as store:
        with pytest.raises(StoreUnavailable):
            await store.check()


async def test_a_store_that_knows_us_not_is_told_from_one_that_is_away(
    s3: seaweedfs.S3Service,
) -> None:
    stranger = dataclasses.replace(s3, secret_access_key="wrong")
    settings = build_s3_settings(stranger, prefix="refused")
    async with store_module.open_store(settings) as store:
        for attempt in (store.head("k"), store.read_range("k", 0, 1), store.put_bytes("k", b"x")):
            with pytest.raises(StoreRefused):
                await attempt
