"""The S3 service: a bucket that an ordinary S3 client reads and writes."""

import pathlib

import obstore
import obstore.store
import pytest

from devstack import guard, seaweedfs


def _connect(service: seaweedfs.S3Service, secret: str) -> obstore.store.S3Store:
    return obstore.store.S3Store(
        service.bucket,
        endpoint=service.endpoint_url,
        region=service.region,
        access_key_id=service.access_key_id,
        secret_access_key=secret,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


async def test_an_object_comes_back_and_strangers_are_refused(s3: seaweedfs.S3Service) -> None:
    store = _connect(s3, s3.secret_access_key)
    await obstore.put_async(store, "devstack/one", b"hello")

    answer = await obstore.get_async(store, "devstack/one")

    assert bytes(await answer.bytes_async()) == b"hello"
    with pytest.raises(obstore.exceptions.BaseError):
        await obstore.get_async(_connect(s3, "wrong"), "devstack/one")


async def test_nothing_is_left_running_or_lying_around(tmp_path: pathlib.Path) -> None:
    before = set(seaweedfs.SOCKETS_FOLDER.glob("seaweedfs-*"))
    async with seaweedfs.open_seaweedfs(tmp_path) as service:
        family = guard.list_family(service.process.pid)

    assert family
    assert not guard.list_living(family)
    assert set(seaweedfs.SOCKETS_FOLDER.glob("seaweedfs-*")) <= before
