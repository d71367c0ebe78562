"""What surrounds a run: a store in a folder with a small WAV file in it, a bus, a model."""

import io
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from parlance.inference.calls.task import Tools
from parlance.runtime import store
from parlance.runtime.settings import StoreSettings
from parlance.runtime.store import Store

from tests.unit.inference import fakes


@pytest.fixture
def wav_bytes() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(32_000))
    return buffer.getvalue()


@pytest.fixture
async def objects(tmp_path: Path, wav_bytes: bytes) -> AsyncIterator[Store]:
    async with store.open_store(StoreSettings(store_url=tmp_path.as_uri())) as opened:
        await opened.put_bytes(fakes.AUDIO_KEY, wav_bytes)
        yield opened


@pytest.fixture
def bus() -> fakes.FakeBus:
    return fakes.FakeBus()


@pytest.fixture
def transcriber() -> fakes.FakeTranscriber:
    return fakes.FakeTranscriber()


@pytest.fixture
def stream() -> fakes.FakeStream:
    return fakes.FakeStream([fakes.build_window(n) for n in range(3)])


@pytest.fixture
def tools(objects: Store, stream: fakes.FakeStream, transcriber: fakes.FakeTranscriber) -> Tools:
    return fakes.build_tools(objects, stream, transcriber)
