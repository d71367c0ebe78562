"""A child always ends, whichever way it was made and whatever happens around it."""

import asyncio
import contextlib
import pathlib
import socket
import time
from collections.abc import AsyncIterator, Iterator

import psutil
import pytest
from parlance.media import decode, probe, spawning
from parlance.media.bytesource import ByteSource, MemorySource
from parlance.media.decode import Decoder
from parlance.media.errors import DecoderLost, SourceTimedOut
from parlance.media.sniff import Container
from parlance.media.spawning import FreshSpawner, JobProcess, Spawner, Template

from devstack import waiting
from tests.unit.media import corpus

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG_WAV = corpus.build_wav(120)


@pytest.fixture(params=["fresh", "template"])
def spawner(request: pytest.FixtureRequest, template: Template) -> Spawner:
    return template if request.param == "template" else FreshSpawner()


class Children:
    """The processes below us that were not there at first."""

    def __init__(self) -> None:
        self._before = set(self._list())

    def find(self) -> list[psutil.Process]:
        return [child for child in self._list() if child not in self._before]

    def find_running(self) -> list[psutil.Process]:
        """Without those that have ended and are not waited for yet."""
        return [child for child in self.find() if _is_running(child)]

    def await_forks(self, count: int) -> list[psutil.Process]:
        """Without the event loop, which must not hear of them yet."""
        give_up_at = time.monotonic() + 20
        while len(found := self.find()) < count:
            assert time.monotonic() < give_up_at
            time.sleep(0.001)
        return found

    def _list(self) -> list[psutil.Process]:
        return psutil.Process().children(recursive=True)


def _is_running(child: psutil.Process) -> bool:
    try:
        return child.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill(child: psutil.Process) -> None:
    """Once or again."""
    with contextlib.suppress(psutil.NoSuchProcess):
        child.kill()


@contextlib.asynccontextmanager
async def open_wav(
    source: ByteSource, spawner: Spawner, stall_timeout_seconds: float = 60.0
) -> AsyncIterator[Decoder]:
    opened = decode.open_decoder(
        source, Container.WAV, stall_timeout_seconds=stall_timeout_seconds, spawner=spawner
    )
    async with opened as decoder:
        yield decoder


async def drain(source: ByteSource, spawner: Spawner, stall_timeout_seconds: float = 60.0) -> None:
    async with open_wav(source, spawner, stall_timeout_seconds) as decoder:
        async for _ in decoder:
            pass


async def test_leaving_early_ends_the_child(spawner: Spawner) -> None:
    children = Children()

    async with open_wav(MemorySource(LONG_WAV), spawner) as decoder:
        async for _ in decoder:
            assert children.find()
            break

    assert not children.find()


async def test_the_end_of_the_file_ends_the_child(spawner: Spawner) -> None:
    children = Children()

    await drain(MemorySource(corpus.build_wav(2)), spawner)

    assert not children.find()


async def test_cancelling_ends_the_child(spawner: Spawner) -> None:
    children = Children()
    started = asyncio.Event()

    async def work() -> None:
        async with open_wav(MemorySource(LONG_WAV), spawner) as decoder:
            async for _ in decoder:
                started.set()
                await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not children.find()


async def test_cancelling_at_any_moment_ends_the_child(spawner: Spawner) -> None:
    children = Children()

    for turns in (0, 1, 2, 3, 5, 8, 13, 21):
        task = asyncio.create_task(drain(MemorySource(LONG_WAV), spawner))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    # A fork that was asked for may still be on its way; the next one comes behind it.
    await drain(MemorySource(corpus.build_wav(1)), spawner)

    await waiting.wait_until(lambda: not children.find_running(), 20, what="all have ended")


class CancelledAtStart:
    """Cancels the task that asked for a child in the moment in which it gets it."""

    def __init__(self, spawner: Spawner) -> None:
        self._spawner = spawner

    allows_unsandboxed = False

    async def spawn(self, theirs: socket.socket) -> JobProcess:
        process = await self._spawner.spawn(theirs)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return process


def count_process_descriptors() -> int:
    entries = pathlib.Path("/proc/self/fd").iterdir()
    return sum(_read_link(entry) == "anon_inode:[pidfd]" for entry in entries)


def _read_link(entry: pathlib.Path) -> str:
    try:
        return str(entry.readlink())
    except FileNotFoundError:  # the folder itself was open while it was listed
        return ""


async def end(process: JobProcess) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()
    process.release()


@pytest.fixture
def idle() -> Iterator[socket.socket]:
    """For children that wait for their job until they are killed."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield theirs


class RecordedProcess:
    """Has ended by itself; also its own spawner."""

    allows_unsandboxed = False

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def spawn(self, theirs: socket.socket) -> "RecordedProcess":
        return self

    def kill(self) -> None:
        self.calls.append("kill")
        raise ProcessLookupError

    async def wait(self) -> int:
        return 0

    def release(self) -> None:
        self.calls.append("release")


async def test_cancelling_before_the_child_is_connected_ends_and_releases_it() -> None:
    process = RecordedProcess()

    with pytest.raises(asyncio.CancelledError):
        await drain(MemorySource(LONG_WAV), CancelledAtStart(process))

    assert process.calls == ["kill", "release"]


async def test_cancelling_before_the_child_is_connected_gives_its_place_back() -> None:
    async with spawning.open_template(max_running=1) as template:
        before = count_process_descriptors()
        with pytest.raises(asyncio.CancelledError):
            await drain(MemorySource(LONG_WAV), CancelledAtStart(template))

        await asyncio.wait_for(drain(MemorySource(corpus.build_wav(1)), template), 20)

        assert count_process_descriptors() == before


@pytest.mark.parametrize("turns", range(5))
async def test_a_child_that_comes_together_with_a_cancellation_is_ended(
    template: Template, idle: socket.socket, turns: int
) -> None:
    children, before = Children(), count_process_descriptors()
    first = asyncio.create_task(template.spawn(idle))
    second = asyncio.create_task(template.spawn(idle))
    await asyncio.sleep(0)
    children.await_forks(2)  # the report of the first is sent before the second is made
    for _ in range(turns):
        await asyncio.sleep(0)

    first.cancel()

    for answer in await asyncio.gather(first, second, return_exceptions=True):
        if not isinstance(answer, BaseException):
            await end(answer)
    await waiting.wait_until(lambda: not children.find_running(), 20, what="both have ended")
    assert count_process_descriptors() == before


async def test_a_child_that_nobody_waits_for_may_have_ended_by_itself(
    template: Template, idle: socket.socket
) -> None:
    children, before = Children(), count_process_descriptors()
    abandoned = asyncio.create_task(template.spawn(idle))
    await asyncio.sleep(0)
    (child,) = children.await_forks(1)
    abandoned.cancel()
    kill(child)
    child.wait(20)  # the template has reaped it; the loop has not heard of it yet

    await drain(MemorySource(corpus.build_wav(1)), template)

    assert count_process_descriptors() == before


class HangingSource(MemorySource):
    """A store that stops answering after the first block."""

    async def read(self, offset: int, length: int) -> bytes:
        if offset > 0:
            await asyncio.Event().wait()
        return await super().read(offset, length)


class SlowSource(MemorySource):
    """A store that takes its time, but always answers."""

    async def read(self, offset: int, length: int) -> bytes:
        await asyncio.sleep(2.5)
        return await super().read(offset, length)


async def test_time_that_the_source_takes_is_not_the_childs(template: Template) -> None:
    """Two reads before the first sound: the sound lies behind 3 MiB that nobody needs. Together
    they take longer than the limit, each leaves the child a second and a half of it."""
    wav = corpus.build_wav(1)
    chunk = b"JUNK" + (3 << 20).to_bytes(4, "little") + bytes(3 << 20)
    source = SlowSource(wav[:12] + chunk + wav[12:])

    await drain(source, template, stall_timeout_seconds=4.0)


class FailingSource(MemorySource):
    async def read(self, offset: int, length: int) -> bytes:
        if offset > 0:
            raise ConnectionResetError("the store is gone")
        return await super().read(offset, length)


async def test_a_source_that_hangs_is_given_up_and_blamed(spawner: Spawner) -> None:
    children = Children()

    with pytest.raises(SourceTimedOut):
        await drain(HangingSource(LONG_WAV), spawner, stall_timeout_seconds=5.0)

    assert not children.find()


async def test_an_error_of_the_source_comes_through_as_it_is(spawner: Spawner) -> None:
    children = Children()

    with pytest.raises(ConnectionResetError):
        await drain(FailingSource(LONG_WAV), spawner)

    assert not children.find()


async def test_a_killed_child_is_a_retryable_loss(spawner: Spawner) -> None:
    children = Children()

    with pytest.raises(DecoderLost) as caught:
        async with open_wav(MemorySource(LONG_WAV), spawner) as decoder:
            async for _ in decoder:
                for child in children.find():
                    kill(child)

    assert caught.value.retryable


async def test_the_sandbox_is_the_same(spawner: Spawner) -> None:
    source = MemorySource(corpus.build_wav(1))

    probed = await probe.probe(source, Container.WAV, spawner=spawner)

    assert probed.protections == ("rlimits", "no_new_privileges", "seccomp")


async def test_many_children_work_side_by_side(spawner: Spawner) -> None:
    data = corpus.encode("ipod", "aac")

    probed = await asyncio.gather(
        *(probe.probe(MemorySource(data), Container.M4A, spawner=spawner) for _ in range(8))
    )

    assert len({answer.info.duration_seconds for answer in probed}) == 1


async def test_a_template_that_dies_is_started_again() -> None:
    children = Children()
    async with spawning.open_template() as template:
        await drain(MemorySource(corpus.build_wav(1)), template)
        (dead,) = children.find()
        kill(dead)
        await drain(MemorySource(corpus.build_wav(1)), template)

    assert not children.find()


async def test_the_death_of_a_template_is_a_retryable_loss_of_its_children() -> None:
    children = Children()
    async with spawning.open_template() as template:
        (forker,) = children.find()
        with pytest.raises(DecoderLost) as caught:
            async with open_wav(MemorySource(LONG_WAV), template) as decoder:
                async for _ in decoder:
                    kill(forker)

    assert caught.value.retryable
    assert not children.find()


async def test_closing_a_template_ends_everything() -> None:
    children = Children()

    async with spawning.open_template():
        assert children.find()

    assert not children.find()
