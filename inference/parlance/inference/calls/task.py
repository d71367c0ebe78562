"""The work on one call, from the audio to the last event. Run by `parlance.inference.engine`.

    open the audio -> windows through the model -> transcript -> `transcribed`
                                                -> insights   -> `analyzed`

Raises what its parts raise; `calls.kind` says what follows from that.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from parlance.contracts.analysis.insights import Insights, TrackerRules
from parlance.contracts.bus import subjects
from parlance.contracts.bus.calls import (
    Analyzed,
    CallDispatch,
    EventType,
    Failed,
    Progress,
    Reset,
    SegmentsReady,
    Started,
    Transcribed,
)
from parlance.contracts.bus.envelopes import Envelope, parse_data
from parlance.contracts.calls import ChannelPolicy, MediaInfo, ModelInfo, Stage, Transcript
from parlance.contracts.problems import Problem
from parlance.inference.analysis import rules
from parlance.inference.analysis.documents import Document
from parlance.inference.analysis.progress import Analysis
from parlance.inference.asr.transcriber import Transcriber
from parlance.inference.calls import documents, fetching, intake, metrics, segments
from parlance.inference.calls.artefacts import Artefact, ArtefactStore
from parlance.inference.calls.errors import InputRejected
from parlance.inference.calls.fetching import FETCHING, Fetcher
from parlance.inference.calls.intake import Audio
from parlance.inference.calls.past import CallPast
from parlance.inference.calls.progress import CallProgress
from parlance.inference.calls.recording import WindowOpener, WindowStream
from parlance.inference.calls.timing import StageTimer
from parlance.inference.calls.transcription import MODEL, Tally, Transcription
from parlance.inference.engine import waits
from parlance.inference.engine.endings import Rejected
from parlance.inference.engine.gate import Gate
from parlance.inference.engine.kinds import Run
from parlance.inference.engine.patience import Patience
from parlance.inference.engine.waits import Awaited
from parlance.inference.speakers import channels, echo, roles
from parlance.runtime.errors import ObjectNotFound
from parlance.runtime.store import Store

Analyze = Callable[[Document, TrackerRules | None], Awaitable[Analysis]]


@dataclass(frozen=True, slots=True)
class Tools:
    """What all calls of the worker share; put together in `wiring`."""

    name: str
    """Of the worker."""
    store: Store
    fetcher: Fetcher
    transcriber: Transcriber
    open_windows: WindowOpener
    analyze: Analyze
    read_patience: Patience
    """For reading audio: shorter than the decoder waits for its bytes."""
    gate: Gate
    """For windows, over all calls."""
    windows_per_call: int


class CallTask:
    """One run of one call: an `engine.kinds.Task`."""

    def __init__(self, tools: Tools, run: Run[CallDispatch]) -> None:
        self._tools = tools
        self._run = run
        self._past = CallPast()
        self._progress = CallProgress()
        self._artefacts = ArtefactStore(tools.store, run.patience)
        self._timings: dict[str, float] = {}

    def recall(self, event: Envelope) -> None:
        match event.type:
            case EventType.STARTED:
                self._past.take_started(parse_data(event, Started))
            case EventType.SEGMENT:
                done = parse_data(event, SegmentsReady)
                self._past.take_window(done)
                self._progress.note_window(done)
            case EventType.RESET:
                self._past.take_reset(parse_data(event, Reset))
            case EventType.TRANSCRIBED:
                self._past.take_transcribed(parse_data(event, Transcribed))
            case _:
                pass

    def build_sign(self, awaited: Awaited | None) -> Progress:
        return self._progress.build_event(awaited)

    def build_failed(self, rejected: Rejected) -> Failed:
        return Failed(
            reason=rejected.reason,
            code=rejected.problem.code,
            message=rejected.message,
            stage=self._progress.stage,
            retryable=rejected.problem.retryable,
        )

    async def run(self) -> None:
        if Stage.TRANSCRIBE not in self._run.dispatch.stages:
            # The CRD refuses such jobs too; this one was made before it did.
            text = "stages must contain Transcribe: the others work on its transcript."
            raise InputRejected(Problem.VALIDATION_FAILED, text)
        model = await self._run.patience.persist(MODEL, self._tools.transcriber.identify)
        await self._reset_if_needed(model)
        transcript = await self._recall_transcript(model)
        if transcript is None:
            transcript = await self._transcribe(model)
        stored = await self._store_transcript(transcript)
        await self._analyze(transcript, stored)
        metrics.AUDIO_SECONDS.inc(transcript.media.duration_seconds)

    async def _reset_if_needed(self, model: ModelInfo) -> None:
        reset = self._past.plan_reset(model)
        if reset is None:
            return
        call_id = self._run.dispatch.call_id
        id_ = subjects.format_reset_id(call_id, self._past.resets + 1, model.hash)
        await self._run.reporter.publish(reset, id_=id_)
        self._past.take_reset(reset)

    async def _recall_transcript(self, model: ModelInfo) -> Transcript | None:
        """What an earlier run stored and announced: only insights are missing then."""
        transcribed = self._past.find_transcribed(model)
        if transcribed is None:
            return None
        try:
            found = await self._artefacts.get_transcript(transcribed)
        except ObjectNotFound:
            return None
        if found is not None:
            await self._announce(model, found.media, self._past.object_key)
        return found

    async def _transcribe(self, model: ModelInfo) -> Transcript:
        dispatch = self._run.dispatch
        async with AsyncExitStack() as stack:
            with self._timed("fetch"):
                audio = await self._open_audio()
            stream = await stack.enter_async_context(
                self._tools.open_windows(audio, dispatch.channels)
            )
            await self._announce(model, stream.media, audio.key)
            work = Transcription(
                transcriber=self._tools.transcriber,
                patience=self._run.patience,
                gate=self._tools.gate,
                windows_per_call=self._tools.windows_per_call,
                reporter=self._run.reporter,
                progress=self._progress,
                dispatch=dispatch,
                model=model,
                done=self._past.windows_of(model),
                resets=self._past.resets,
            )
            with self._timed("transcribe"):
                tally = await work.run(stream)
            with self._timed("verify"):
                await audio.source.verify(dispatch.sha256)
            self._note_asr(stream, tally)
            with self._timed("merge"):
                # A long call takes seconds, which other calls' leases must not wait for.
                return await asyncio.to_thread(self._build_transcript, model, stream, tally)

    async def _open_audio(self) -> Audio:
        dispatch = self._run.dispatch
        key = dispatch.object_key or self._past.object_key or await self._fetch_audio()
        patience = self._tools.read_patience.noted_in(self._run.waits)
        return await intake.open_audio(self._tools.store, key, dispatch.company, patience)

    async def _fetch_audio(self) -> str:
        """The key of audio that the job names by an address. That the worker has begun is said
        before: an address may take its time, and the deadline counts from here."""
        dispatch, run = self._run.dispatch, self._run
        with run.waits.track() as begin_wait:
            begin_wait(FETCHING)
            await run.signs.give(self.build_sign, FETCHING)
            return await fetching.fetch_in_time(
                lambda: self._tools.fetcher.fetch(dispatch), run.patience, dispatch.seconds_left
            )

    async def _announce(self, model: ModelInfo, media: MediaInfo, object_key: str | None) -> None:
        self._progress.note_length(media.duration_seconds)
        await self._run.reporter.announce(
            Started(
                worker=self._tools.name,
                container=media.container,
                codec=media.codec,
                channels=media.channels,
                duration_seconds=media.duration_seconds,
                model=model,
                resumed_windows=len(self._past.windows_of(model)),
                object_key=object_key,
            )
        )

    def _build_transcript(self, model: ModelInfo, stream: WindowStream, tally: Tally) -> Transcript:
        dispatch = self._run.dispatch
        found, speech = segments.sort_segments(tally.segments), stream.speech
        if stream.channels > 1:
            found, speech = echo.drop_echoes(found, speech, tally.level_db)
        guess = None
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
            model=model,
            segments=found,
            role_confidence=guess.confidence if guess else None,
            speech=speech,
            dropped_windows=tally.dropped_windows,
        )

    async def _store_transcript(self, transcript: Transcript) -> Artefact:
        self._progress.note_transcribed()
        with self._timed("store"):
            stored = await self._artefacts.put_transcript(self._run.dispatch, transcript)
        await self._run.reporter.publish(
            Transcribed(
                object_key=stored.key,
                sha256=stored.sha256,
                segments=len(transcript.segments),
                duration_seconds=transcript.media.duration_seconds,
                language=transcript.language,
                model=transcript.model,
                role_confidence=transcript.role_confidence,
            )
        )
        return stored

    async def _analyze(self, transcript: Transcript, stored: Artefact) -> None:
        dispatch = self._run.dispatch
        with self._timed("insights"):
            if Stage.INSIGHTS in dispatch.stages:
                insights = await self._build_insights(transcript)
            else:
                insights = Insights(call_id=dispatch.call_id, attempt=dispatch.attempt)
        with self._timed("store"):
            kept = await self._artefacts.put_insights(dispatch, insights)
        self._timings["total"] = time.monotonic() - self._run.taken_at
        await self._run.reporter.publish(
            Analyzed(
                transcript_key=stored.key,
                transcript_sha256=stored.sha256,
                insights_key=kept.key,
                insights_sha256=kept.sha256,
                segments=len(transcript.segments),
                duration_seconds=transcript.media.duration_seconds,
                timings={stage: round(seconds, 4) for stage, seconds in self._timings.items()},
            )
        )

    async def _build_insights(self, transcript: Transcript) -> Insights:
        dispatch = self._run.dispatch
        tracker_rules = await self._run.patience.persist(
            waits.STORE, lambda: rules.fetch_rules(self._tools.store, dispatch.company)
        )
        document = await asyncio.to_thread(documents.build_document, transcript)
        analysis = await self._tools.analyze(document, tracker_rules)
        return analysis.build_insights(call_id=dispatch.call_id, attempt=dispatch.attempt)

    def _note_asr(self, stream: WindowStream, tally: Tally) -> None:
        self._timings["asr_wait"] = tally.wait_seconds
        self._timings |= stream.timings
        if tally.first_segment_at is not None:
            self._timings["first_segment"] = tally.first_segment_at - self._run.taken_at
            metrics.FIRST_SEGMENT_SECONDS.observe(self._timings["first_segment"])

    def _timed(self, stage: str) -> StageTimer:
        return StageTimer(self._timings, stage)


def _choose_language(tally: Tally, requested: str) -> tuple[str, float | None]:
    """The language most of the speech is in, and its share; the requested one if nobody spoke."""
    spoken = tally.language_seconds
    if not spoken:
        return ("" if requested == "auto" else requested), None
    language = max(spoken, key=lambda code: spoken[code])
    return language, round(spoken[language] / max(sum(spoken.values()), 1e-9), 4)
