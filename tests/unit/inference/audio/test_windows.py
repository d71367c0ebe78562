"""The async stream of windows: order, errors, early leaving, and a loop that never waits."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest
from parlance.contracts.calls import ChannelPolicy
from parlance.inference.audio import windows
from parlance.inference.audio.channels import Samples
from parlance.inference.audio.front_end import FrontEnd
from parlance.inference.audio.packer import Window
from parlance.inference.audio.vad import Floats, VadState
from parlance.media.decode import PcmBlock
from parlance.media.errors import UndecodableAudio

from tests.unit.inference.audio import sounds

CALL = sounds.interleave(
    sounds.build_call(*((t, t + 1.5) for t in range(1, 118, 2)), seconds=120.0)
)


class Blocks:
    """A decoder whose PCM is known; it counts what was taken."""

    def __init__(self, pcm: bytes, fails_after: int | None = None) -> None:
        self._pcm = pcm
        self._fails_after = fails_after
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[PcmBlock]:
        for start in range(0, len(self._pcm), 32_000):
            if self.taken == self._fails_after:
                raise UndecodableAudio("scratched")
            self.taken += 1
            yield PcmBlock(self._pcm[start : start + 32_000], 1)


def build_front_end(model: sounds.LoudnessModel | None = None) -> FrontEnd:
    return FrontEnd(model or sounds.LoudnessModel(), ChannelPolicy.AUTO, 1)


async def test_all_windows_come_in_order() -> None:
    direct = build_front_end()
    expected = direct.feed(CALL) + direct.finish()

    seen = [window async for window in windows.iter_windows(Blocks(CALL), build_front_end())]

    assert [w.pieces for w in seen] == [w.pieces for w in expected]
    assert len(seen) >= 4


async def test_an_error_of_the_decoder_comes_after_the_windows_before_it() -> None:
    seen: list[Window] = []

    with pytest.raises(UndecodableAudio):
        async for window in windows.iter_windows(Blocks(CALL, fails_after=60), build_front_end()):
            seen.append(window)

    assert seen
    assert seen[-1].end_seconds < 60


async def test_a_slow_consumer_stops_the_decoder() -> None:
    blocks = Blocks(CALL)

    async with contextlib.aclosing(windows.iter_windows(blocks, build_front_end())) as stream:
        await anext(stream)
        for _ in range(20):
            await asyncio.sleep(0)
        taken = blocks.taken

    assert taken <= 24


async def test_leaving_early_leaves_no_task() -> None:
    before = asyncio.all_tasks()

    async with contextlib.aclosing(windows.iter_windows(Blocks(CALL), build_front_end())) as stream:
        await anext(stream)

    assert asyncio.all_tasks() == before


class SlowModel(sounds.LoudnessModel):
    def run(self, samples: Samples, state: VadState) -> Floats:
        time.sleep(0.05)  # stands for work: the loop must not notice
        return super().run(samples, state)


async def test_the_event_loop_is_never_held_up() -> None:
    pauses: list[float] = []

    async def beat() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.001)
            pauses.append(time.monotonic() - before)

    heart = asyncio.create_task(beat())
    async for _ in windows.iter_windows(Blocks(CALL), build_front_end(SlowModel())):
        pass
    heart.cancel()

    assert len(pauses) > 100
