"""Writing into a folder: whole or not at all, also when the upload is cancelled."""

import asyncio
import concurrent.futures
import contextlib
import gc
import hashlib
import pathlib
import resource
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import ParamSpec, TypeVar

import pytest
from parlance.runtime import local_files
from parlance.runtime.errors import StoreUnavailable

T = TypeVar("T")
P = ParamSpec("P")

STEP = bytes(local_files.STEP_BYTES)
OPEN, FIRST_STEP, FLUSH, LAST_STEP, MOVE = range(5)
"""The jobs of threads for a stream of one step, in their order."""


async def one_step() -> AsyncIterator[bytes]:
    yield STEP


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "calls" / "audio.wav"


@pytest.fixture
def part(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "staging" / "part-1"


class HoldingThreads(concurrent.futures.ThreadPoolExecutor):
    """Threads for the loop; the job with the number `held` begins its work when it is let go."""

    def __init__(self, held: int) -> None:
        super().__init__()
        self._held = held
        self._count = 0
        self._may_go = threading.Event()
        self._loop = asyncio.get_running_loop()
        self.has_arrived = asyncio.Event()

    def submit(
        self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> "concurrent.futures.Future[T]":
        def run_held() -> T:
            self._loop.call_soon_threadsafe(self.has_arrived.set)
            self._may_go.wait()
            return fn(*args, **kwargs)

        self._count += 1
        if self._count - 1 == self._held:
            return super().submit(run_held)
        return super().submit(fn, *args, **kwargs)

    def let_go(self) -> None:
        self._may_go.set()


@contextlib.contextmanager
def hold(job: int) -> Iterator[HoldingThreads]:
    threads = HoldingThreads(job)
    asyncio.get_running_loop().set_default_executor(threads)
    try:
        yield threads
    finally:
        threads.let_go()


@contextlib.contextmanager
def no_complaints() -> Iterator[None]:
    """Nothing is found unclosed, and no error unseen, when all is thrown away."""
    complaints: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))
    yield
    gc.collect()
    assert complaints == []


@contextlib.contextmanager
def files_limited_to(size_bytes: int) -> Iterator[None]:
    """As on a full disk, what is written behind it is an error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def list_files(folder: pathlib.Path) -> list[pathlib.Path]:
    return [entry for entry in folder.rglob("*") if entry.is_file()]


async def test_a_stream_of_several_steps_is_written_and_hashed(
    path: pathlib.Path, part: pathlib.Path
) -> None:
    data = STEP + b"x" * 100

    async def chunks() -> AsyncIterator[bytes]:
        yield data
        yield data

    written = await local_files.write_stream(path, part, chunks())

    assert written == (2 * len(data), hashlib.sha256(2 * data).hexdigest())
    assert path.read_bytes() == 2 * data
    assert not part.exists()


async def test_what_the_disk_does_not_take_is_worth_another_try(
    tmp_path: pathlib.Path, path: pathlib.Path, part: pathlib.Path
) -> None:
    with (
        files_limited_to(1 << 20),
        no_complaints(),
        pytest.raises(StoreUnavailable),
    ):
        await local_files.write_stream(path, part, one_step())

    assert list_files(tmp_path) == []


@pytest.mark.parametrize("job", [OPEN, FIRST_STEP, FLUSH, LAST_STEP, MOVE])
async def test_a_cancelled_upload_waits_for_its_threads_and_removes_its_part(
    tmp_path: pathlib.Path, path: pathlib.Path, part: pathlib.Path, job: int
) -> None:
    with hold(job) as threads, no_complaints():
        upload = asyncio.create_task(local_files.write_stream(path, part, one_step()))
        await threads.has_arrived.wait()
        upload.cancel()
        done, _ = await asyncio.wait({upload}, timeout=0.1)
        assert not done  # the thread may still write

        threads.let_go()
        with pytest.raises(asyncio.CancelledError):
            await upload
        del upload

    # The cancellation came too late for what was being moved: then it is there as a whole.
    assert list_files(tmp_path) == ([path] if job == MOVE else [])


async def test_an_error_that_nobody_waited_for_is_no_complaint(
    tmp_path: pathlib.Path, path: pathlib.Path, part: pathlib.Path
) -> None:
    """The stream breaks off while a step fails: the stream's error comes out."""
    with files_limited_to(1 << 20), no_complaints():

        async def chunks() -> AsyncIterator[bytes]:
            yield STEP
            raise ConnectionAbortedError("the client is gone")

        with pytest.raises(ConnectionAbortedError):
            await local_files.write_stream(path, part, chunks())

    assert list_files(tmp_path) == []


async def test_a_part_that_is_there_already_is_not_touched(
    path: pathlib.Path, part: pathlib.Path
) -> None:
    part.parent.mkdir()
    part.write_bytes(b"another's")

    with pytest.raises(StoreUnavailable):
        await local_files.write_stream(path, part, one_step())

    assert part.read_bytes() == b"another's"
