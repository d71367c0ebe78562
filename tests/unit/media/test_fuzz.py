"""Damaged files by the hundred: each ends with an answer, none with a crash or a wait."""

import random
import time

import pytest
from parlance.media import decode, probe
from parlance.media.bytesource import MemorySource
from parlance.media.errors import DecoderLost, DecoderTimedOut, MediaError
from parlance.media.limits import MediaLimits
from parlance.media.sniff import HEAD_BYTES, sniff
from parlance.media.spawning import Template

from tests.unit.media import corpus

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAMAGED_PER_FORMAT = 8


def damage(data: bytes, seed: int) -> bytes:
    """Bits flipped, stretches lost, doubled or overwritten; mostly in the first kilobytes, where
    the structure is."""
    generator = random.Random(seed)
    damaged = bytearray(data)
    for _ in range(generator.choice((1, 3, 20))):
        end = len(damaged) if generator.random() < 0.3 else min(4_096, len(damaged))
        place = generator.randrange(12, max(13, end))
        stretch = generator.choice((1, 2, 8, 100))
        kind = generator.randrange(4)
        if kind == 0:
            damaged[place : place + stretch] = generator.randbytes(stretch)
        elif kind == 1:
            del damaged[place : place + stretch]
        elif kind == 2:
            damaged[place:place] = damaged[place : place + stretch]
        else:
            damaged[place : place + stretch] = b"\xff" * stretch
    return bytes(damaged)


@pytest.mark.parametrize("name", corpus.GOOD)
async def test_damaged_files_are_answered(name: str, template: Template) -> None:
    for seed in range(DAMAGED_PER_FORMAT):
        data = damage(corpus.build_good(name), seed)
        container = sniff(data[:HEAD_BYTES])
        if container is None:
            continue
        started = time.monotonic()
        source, limits = MemorySource(data), MediaLimits(max_seconds=600)
        try:
            await probe.probe(source, container, limits, spawner=template)
        except (DecoderLost, DecoderTimedOut):
            raise  # a crash or a wait
        except MediaError:
            pass  # an answer
        try:
            async with decode.open_decoder(source, container, limits, spawner=template) as decoder:
                async for _ in decoder:
                    pass
        except (DecoderLost, DecoderTimedOut):
            raise
        except MediaError:
            pass
        assert time.monotonic() - started < 20, (name, seed)
