"""The work on one call, from the audio to the last event. Owned and ended by `worker.runner`.

    open the audio -> windows through the model -> transcript -> `transcribed`
                                                -> insights   -> `analyzed`

Raises what its parts raise; `worker.endings` says what follows from that.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from parlance.contracts.analysis.insights import Insights
from parlance.contracts.bus.calls import Analyzed, Started, Transcribed
from parlance.contracts.calls import ChannelPolicy, MediaInfo, ModelInfo, Stage, Transcript
from parlance.inference.asr.transcriber import Transcriber
from parlance.inference.speakers import channels, echo, roles
from parlance.inference.worker import intake, metrics, segments
from parlance.inference.worker.artefacts import Artefact, ArtefactStore
from parlance.inference.worker.history import History
from parlance.inference.worker.intake import Fetcher
from parlance.inference.worker.lease import Lease
from parlance.inference.worker.patience import Patience
from parlance.inference.worker.recording import WindowOpener, WindowStream
from parlance.inference.worker.reporter import Reporter
from parlance.inference.worker.transcription import Gate, Tally, Transcription
from parlance.runtime.errors import ObjectNotFound
from parlance.runtime.store import Store

Analyze = Callable[[Transcript], Awaitable[Insights]]


@dataclass(frozen=True, slots=True)
class Tools:
    """What every call of the worker shares; put together in `wiring`."""

    name: str
    """Of the worker."""
    store: Store
    fetcher: Fetcher
    transcriber: Transcriber
    open_windows: WindowOpener
    analyze: Analyze
    patience: Patience
    read_patience: Patience
    """For reading audio: shorter than the decoder waits for its bytes."""
    gate: Gate


@dataclass(slots=True)
class CallWork:
    """One run of one call."""

    tools: Tools
    lease: Lease
    reporter: Reporter
    history: History
    model: ModelInfo
    taken_at: float
    """Monotonic time at which the message was taken."""
    timings: dict[str, float] = field(default_factory=dict)

    async def run(self) -> None:
        transcript = await self._recall_transcript()
        if transcript is None:
            transcript = await self._transcribe()
        artefacts = ArtefactStore(self.tools.store, self.tools.patience)
        stored = await self._store_transcript(artefacts, transcript)
        await self._analyze(artefacts, transcript, stored)
        metrics.AUDIO_SECONDS.inc(transcript.media.duration_seconds)

    async def _recall_transcript(self) -> Transcript | None:
        """What an earlier run stored and announced: only insights are missing then."""
        transcribed = self.history.transcribed
        if transcribed is None:
            return None
        artefacts = ArtefactStore(self.tools.store, self.tools.patience)
        try:
            found = await artefacts.get_transcript(transcribed)
        except ObjectNotFound:
            return None
        if found is not None:
            await self._announce(found.media, self.history.object_key)
        return found

    async def _transcribe(self) -> Transcript:
        dispatch = self.lease.dispatch
        async with AsyncExitStack() as stack:
            with self._timed("fetch"):
                audio = await intake.open_audio(
                    self.tools.store,
                    self.tools.fetcher,
                    dispatch,
                    self.tools.read_patience,
                    known_key=self.history.object_key,
                )
            stream = await stack.enter_async_context(
                self.tools.open_windows(audio, dispatch.channels)
            )
            await self._announce(stream.media, audio.key)
            work = Transcription(
                transcriber=self.tools.transcriber,
                patience=self.tools.patience,
                gate=self.tools.gate,
                reporter=self.reporter,
                dispatch=dispatch,
                model=self.model,
                done=self.history.windows,
            )
            with self._timed("transcribe"):
                tally = await work.run(stream)
            with self._timed("verify"):
                await audio.source.verify(dispatch.sha256)
            self._note_asr(stream, tally)
            with self._timed("merge"):
                # A long call takes seconds, which other calls' leases must not wait for.
                return await asyncio.to_thread(self._build_transcript, stream, tally)

    async def _announce(self, media: MediaInfo, object_key: str | None) -> None:
        await self.reporter.announce(
            Started(
                worker=self.tools.name,
                container=media.container,
                codec=media.codec,
                channels=media.channels,
                duration_seconds=media.duration_seconds,
                model=self.model,
                resumed_windows=len(self.history.windows),
                object_key=object_key,
            )
        )

    def _build_transcript(self, stream: WindowStream, tally: Tally) -> Transcript:
        dispatch = self.lease.dispatch
        found, speech = segments.sort_segments(tally.segments), stream.speech
        if stream.channels > 1:
            found, speech = echo.drop_echoes(found, speech, tally.level_db)
        if dispatch.channels is ChannelPolicy.AUTO and Stage.SPEAKERS in dispatch.stages:
            guess = roles.guess_roles(found)
            found = channels.apply_roles(found, guess.roles) if guess else found
        language, share = _choose_language(tally, dispatch.language)
        return Transcript(
            call_id=dispatch.call_id,
            attempt=dispatch.attempt,
            language=language,
            language_confidence=share,
            media=stream.media,
            model=self.model,
            segments=found,
            speech=speech,
            dropped_windows=tally.dropped_windows,
        )

    async def _store_transcript(self, artefacts: ArtefactStore, transcript: Transcript) -> Artefact:
        dispatch = self.lease.dispatch
        with self._timed("store"):
            stored = await artefacts.put_transcript(dispatch, transcript)
        await self.reporter.publish(
            Transcribed(
                object_key=stored.key,
                sha256=stored.sha256,
                segments=len(transcript.segments),
                duration_seconds=transcript.media.duration_seconds,
                language=transcript.language,
                model=transcript.model,
            )
        )
        return stored

    async def _analyze(
        self, artefacts: ArtefactStore, transcript: Transcript, stored: Artefact
    ) -> None:
        dispatch = self.lease.dispatch
        with self._timed("insights"):
            if Stage.INSIGHTS in dispatch.stages:
                insights = await self.tools.analyze(transcript)
            else:
                insights = Insights(call_id=dispatch.call_id, attempt=dispatch.attempt)
        with self._timed("store"):
            kept = await artefacts.put_insights(dispatch, insights)
        self.timings["total"] = time.monotonic() - self.taken_at
        await self.reporter.publish(
            Analyzed(
                transcript_key=stored.key,
                transcript_sha256=stored.sha256,
                insights_key=kept.key,
                insights_sha256=kept.sha256,
                segments=len(transcript.segments),
                duration_seconds=transcript.media.duration_seconds,
                timings={stage: round(seconds, 4) for stage, seconds in self.timings.items()},
            )
        )

    def _note_asr(self, stream: WindowStream, tally: Tally) -> None:
        self.timings["asr_wait"] = tally.wait_seconds
        self.timings |= stream.timings
        if tally.first_segment_at is not None:
            self.timings["first_segment"] = tally.first_segment_at - self.taken_at
            metrics.FIRST_SEGMENT_SECONDS.observe(self.timings["first_segment"])

    def _timed(self, stage: str) -> "_Timed":
        return _Timed(self.timings, stage)


class _Timed:
    """Adds the time of a block to a stage."""

    def __init__(self, timings: dict[str, float], stage: str) -> None:
        self._timings = timings
        self._stage = stage

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        seconds = time.perf_counter() - self._started
        self._timings[self._stage] = self._timings.get(self._stage, 0.0) + seconds
        metrics.STAGE_SECONDS.labels(self._stage).observe(seconds)


def _choose_language(tally: Tally, wanted: str) -> tuple[str, float | None]:
    """The language most of the speech is in, and its share; what was asked for if nobody spoke."""
    heard = tally.language_seconds
    if not heard:
        return ("" if wanted == "auto" else wanted), None
    language = max(heard, key=lambda code: heard[code])
    return language, round(heard[language] / max(sum(heard.values()), 1e-9), 4)
