"""A store in a folder, with a small WAV file in it."""

import io
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from parlance.runtime import store
from parlance.runtime.settings import StoreSettings
from parlance.runtime.store import Store

from tests.unit.inference.worker import fakes


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
