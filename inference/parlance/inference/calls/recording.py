"""A recording as a stream of windows: the decoder and the front end put together.

`WindowStream` is what the rest of the worker sees; tests give it windows of their own.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Protocol

import structlog
from parlance.contracts.calls import ChannelPolicy, MediaInfo, Speech
from parlance.inference.audio.front_end import FrontEnd, FrontEndOptions
from parlance.inference.audio.packer import Window
from parlance.inference.audio.vad import VadModel
from parlance.inference.audio.windows import iter_windows
from parlance.inference.calls.intake import Audio
from parlance.media import decode
from parlance.media.limits import MediaLimits
from parlance.media.spawning import Spawner

_log = structlog.get_logger(__name__)


class WindowStream(Protocol):
    """An open recording. Iterate once, then read what only the whole file tells."""

    @property
    def channels(self) -> int:
        """Channels that are transcribed apart; known from the first window on."""
        ...

    @property
    def media(self) -> MediaInfo:
        """The header's duration at first, the exact one after the last window."""
        ...

    @property
    def speech(self) -> tuple[Speech, ...]:
        """Voice activity, complete after the last window."""
        ...

    @property
    def timings(self) -> Mapping[str, float]:
        """Seconds by step of the audio side."""
        ...

    def windows(self) -> AsyncGenerator[Window, None]:
        """In a fixed order. Raises MediaError and what the byte source raises."""
        ...


class WindowOpener(Protocol):
    """Starts decoding; leaving the context ends the decoder."""

    def __call__(
        self, audio: Audio, policy: ChannelPolicy
    ) -> AbstractAsyncContextManager[WindowStream]: ...


class RecordingOpener:
    """The `WindowOpener` of production."""

    def __init__(
        self,
        vad: VadModel,
        executor: Executor,
        limits: MediaLimits,
        spawner: Spawner | None = None,
        options: FrontEndOptions | None = None,
    ) -> None:
        self._vad = vad
        self._options = options
        self._executor = executor
        self._limits = limits
        self._spawner = spawner

    @asynccontextmanager
    async def __call__(self, audio: Audio, policy: ChannelPolicy) -> AsyncIterator[WindowStream]:
        started = time.perf_counter()
        opened = decode.open_decoder(
            audio.source, audio.container, self._limits, spawner=self._spawner
        )
        async with opened as decoder:
            opening_seconds = time.perf_counter() - started
            front_end = _TimedFrontEnd(self._vad, policy, decoder.stream.channels, self._options)
            yield Recording(audio, decoder, front_end, self._executor, opening_seconds)


class Recording:
    """`WindowStream` over an open decoder."""

    def __init__(
        self,
        audio: Audio,
        decoder: decode.Decoder,
        front_end: "_TimedFrontEnd",
        executor: Executor,
        opening_seconds: float,
    ) -> None:
        self._audio = audio
        self._decoder = decoder
        self._front_end = front_end
        self._executor = executor
        self._opening_seconds = opening_seconds

    @property
    def channels(self) -> int:
        return (
            self._front_end.plan.channels if self._front_end.plan else self._decoder.stream.channels
        )

    @property
    def media(self) -> MediaInfo:
        stream, summary = self._decoder.stream, self._decoder.summary
        return MediaInfo(
            container=self._audio.container.value,
            codec=stream.codec,
            channels=stream.channels,
            sample_rate_hz=stream.sample_rate_hz,
            duration_seconds=(
                summary.duration_seconds
                if summary
                else max(stream.header_seconds or 0.0, self._front_end.processed_seconds)
            ),
            duration_estimated=summary is None,
            truncated=summary is not None and summary.truncated,
        )

    @property
    def speech(self) -> tuple[Speech, ...]:
        return self._front_end.speech

    @property
    def timings(self) -> Mapping[str, float]:
        return {"decode_open": self._opening_seconds, "vad": self._front_end.seconds}

    async def windows(self) -> AsyncGenerator[Window, None]:
        async with aclosing(
            iter_windows(self._decoder, self._front_end, self._executor)
        ) as windows:
            async for window in windows:
                yield window
        plan = self._front_end.plan
        if plan is not None:
            _log.info("channels planned", channels=plan.channels, reason=plan.reason.value)


class _TimedFrontEnd(FrontEnd):
    """Notes the CPU time that finding speech costs."""

    seconds = 0.0

    def feed(self, data: bytes) -> list[Window]:
        started = time.thread_time()
        try:
            return super().feed(data)
        finally:
            self.seconds += time.thread_time() - started

    def finish(self) -> list[Window]:
        started = time.thread_time()
        try:
            return super().finish()
        finally:
            self.seconds += time.thread_time() - started
