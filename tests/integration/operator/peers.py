"""A worker and a recorder that speak the bus contract, with scripted behaviour.

They stand where `parlance.inference` and `parlance.api` stand in production: peers over real NATS.
What a worker does with a call is chosen by the object key of its audio.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum

from parlance.contracts import lifecycle
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus import envelopes, streams, subjects
from parlance.contracts.bus.calls import CallDispatch, EventData, EventType
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.calls import ModelInfo, Priority, Role, Stage
from parlance.contracts.ids import CallId
from parlance.contracts.lifecycle import Life, Step
from parlance.contracts.problems import Problem
from parlance.runtime.bus import Bus, Delivery
from parlance.runtime.errors import BusUnavailable

from devstack import waiting

MODEL = ModelInfo(name="scripted", hash="5" * 64)
WINDOWS = 3
SHA256 = "a" * 64


_TERMINAL = {type_.step: type_ for type_ in EventType if type_.is_terminal}


class Script(StrEnum):
    """What the worker does with a call."""

    COMPLETE = "complete.wav"
    FAIL = "fail.wav"
    LINGER = "linger.wav"
    """A window every 0.1 s, for ever."""
    VANISH = "vanish.wav"
    """Starts, says one window, and is never heard of again; later attempts complete."""
    VANISH_ALWAYS = "vanish-always.wav"
    HAND_BACK = "hand-back.wav"
    """Gives the message back once for lack of a model; completes the next time."""


@dataclass
class ScriptedWorker:
    """Takes every message at once. `taken` and `stopped` say what happened."""

    bus: Bus
    name: str = "scripted-1"
    window_seconds: float = 0.02
    taken: list[CallDispatch] = field(default_factory=list)
    stopped: dict[str, ControlAction] = field(default_factory=dict)
    is_open: bool = True
    """Whether it takes new messages; `close` waits until it takes none any more."""
    _pulling: int = 0
    _runs: set[asyncio.Task[None]] = field(default_factory=set)

    def count_taken(self) -> Counter[tuple[str, int]]:
        """How often each attempt of each call was taken."""
        return Counter((dispatch.name, dispatch.attempt) for dispatch in self.taken)

    async def work(self) -> None:
        async with asyncio.TaskGroup() as lanes:
            for priority in Priority:
                lanes.create_task(self._serve_lane(priority))

    async def close(self) -> None:
        self.is_open = False
        await waiting.wait_until(lambda: self._pulling == 0, 10, "the worker asks for no more")

    async def _serve_lane(self, priority: Priority) -> None:
        while True:
            if not self.is_open:
                await asyncio.sleep(0.05)
                continue
            self._pulling += 1
            try:
                deliveries = await self.bus.pull_jobs(
                    CallDispatch, priority, batch=64, wait_seconds=1.0
                )
            except BusUnavailable:
                await asyncio.sleep(0.1)
                continue
            finally:
                self._pulling -= 1
            for delivery in deliveries:
                self.taken.append(delivery.value)
                run = asyncio.create_task(self._run(delivery))
                self._runs.add(run)
                run.add_done_callback(self._runs.discard)

    async def _run(self, delivery: Delivery[CallDispatch]) -> None:
        dispatch = delivery.value
        script = Script((dispatch.object_key or "").rpartition("/")[2])
        with contextlib.suppress(BusUnavailable):
            if script is Script.HAND_BACK and delivery.attempts == 1:
                await self._hand_back(delivery)
                return
            await self._say(dispatch, _build_started(self.name))
            if script is Script.FAIL:
                await self._say(dispatch, _build_failed())
                await delivery.term()
                return
            if not await self._transcribe(dispatch, script):
                return
            if script is Script.VANISH_ALWAYS or (
                script is Script.VANISH and dispatch.attempt == 1
            ):
                return
            await self._finish(delivery)

    async def _hand_back(self, delivery: Delivery[CallDispatch]) -> None:
        attempt = delivery.value.attempt
        back = call_events.Retrying(
            reason="WaitingForModel", message="the model is not loaded", next_attempt=attempt
        )
        await self._say(delivery.value, back, detail="1")
        await delivery.nak(3.0)

    async def _transcribe(self, dispatch: CallDispatch, script: Script) -> bool:
        """False when a note stopped it."""
        windows = {Script.LINGER: 10_000, Script.VANISH: 1, Script.VANISH_ALWAYS: 1}
        for window in range(windows.get(script, WINDOWS)):
            await asyncio.sleep(0.1 if script is Script.LINGER else self.window_seconds)
            note = await self.bus.get_control(dispatch.call_id)
            if note is not None:
                self.stopped[dispatch.name] = note
                if note is ControlAction.CANCEL:
                    await self._say(dispatch, call_events.Cancelled(message="asked to stop"))
                return False
            await self._say(dispatch, _build_window(window), detail=str(window))
        return True

    async def _finish(self, delivery: Delivery[CallDispatch]) -> None:
        dispatch = delivery.value
        await self._say(dispatch, _build_transcribed())
        await self._say(dispatch, _build_analyzed())
        await delivery.ack()

    async def _say(self, dispatch: CallDispatch, data: EventData, *, detail: str = "") -> None:
        await self.bus.publish_event(
            call_events.build_event(
                data,
                company=dispatch.company,
                call_id=dispatch.call_id,
                attempt=dispatch.attempt,
                detail=detail,
            )
        )


@dataclass
class ScriptedRecorder:
    """Commits to memory: the first terminal event of a call wins, and `completed` follows."""

    bus: Bus
    lives: dict[str, Life] = field(default_factory=dict)
    """By call: what the database would say."""
    queued: dict[str, call_events.Queued] = field(default_factory=dict)
    seen: list[tuple[str, str, int]] = field(default_factory=list)
    """Call, type and attempt of every event."""
    is_open: bool = True

    async def record(self) -> None:
        while True:
            if not self.is_open:
                await asyncio.sleep(0.05)
                continue
            try:
                for delivery in await self.bus.pull_events(
                    streams.RECORDER, batch=64, wait_seconds=1.0
                ):
                    await self._apply(delivery.value)
                    await delivery.ack()
            except BusUnavailable:
                await asyncio.sleep(0.1)

    @property
    def outcome(self) -> dict[str, EventType]:
        """How each call that is over has ended."""
        ended = {call: life.end for call, life in self.lives.items() if life.end is not None}
        return {call: _TERMINAL[end] for call, end in ended.items()}

    def count_seen(self, call_id: str, type_: EventType) -> int:
        return sum(1 for call, seen, _ in self.seen if (call, seen) == (call_id, type_))

    async def _apply(self, event: envelopes.Envelope) -> None:
        type_ = EventType(event.type)
        self.seen.append((event.subject, type_, event.attempt))
        if type_ is EventType.QUEUED:
            self.queued[event.subject] = envelopes.parse_data(event, call_events.Queued)
        life = self._advance(event, type_.step)
        if type_.step is Step.DELIVERED and life.end is Step.COMPLETED:
            await self._complete(event)

    def _advance(self, event: envelopes.Envelope, step: Step) -> Life:
        """A result that is delivered counts as stored at once."""
        life = self.lives.get(event.subject, Life())
        if life.is_open_to(event.attempt):
            stored = Step.COMPLETED if step is Step.DELIVERED else step
            life = self.lives[event.subject] = lifecycle.advance(life, stored, event.attempt)
        return life

    async def _complete(self, event: envelopes.Envelope) -> None:
        analyzed = envelopes.parse_data(event, call_events.Analyzed)
        completed = call_events.Completed(
            transcript_key=analyzed.transcript_key,
            transcript_sha256=analyzed.transcript_sha256,
            segments=analyzed.segments,
            duration_seconds=analyzed.duration_seconds,
        )
        await self.bus.publish_event(
            event.model_copy(
                update={
                    "id": subjects.format_event_id(
                        CallId(event.subject), event.attempt, EventType.COMPLETED.token
                    ),
                    "type": EventType.COMPLETED.value,
                    "data": completed.model_dump(mode="json"),
                }
            )
        )


def _build_started(worker: str) -> call_events.Started:
    return call_events.Started(
        worker=worker,
        container="wav",
        codec="pcm_s16le",
        channels=1,
        duration_seconds=60.0,
        model=MODEL,
    )


def _build_window(window: int) -> call_events.SegmentsReady:
    end_seconds = min(60.0, (window + 1) * 20.0)
    return call_events.SegmentsReady(
        window=window,
        channel=0,
        speaker="speaker_0",
        role=Role.UNKNOWN,
        start_seconds=window * 20.0,
        end_seconds=end_seconds,
        segments=(),
        model_hash=MODEL.hash,
        processed_seconds=end_seconds,
        total_seconds=60.0,
    )


def _build_transcribed() -> call_events.Transcribed:
    return call_events.Transcribed(
        object_key="transcript",
        sha256=SHA256,
        segments=WINDOWS,
        duration_seconds=60.0,
        language="en",
        model=MODEL,
    )


def _build_analyzed() -> call_events.Analyzed:
    return call_events.Analyzed(
        transcript_key="transcript",
        transcript_sha256=SHA256,
        insights_key="insights",
        insights_sha256=SHA256,
        segments=WINDOWS,
        duration_seconds=60.0,
    )


def _build_failed() -> call_events.Failed:
    return call_events.Failed(
        reason="UndecodableAudio",
        code=Problem.UNDECODABLE_AUDIO.code,
        message="the file has no audio that can be decoded",
        stage=Stage.TRANSCRIBE,
        retryable=False,
    )


@contextlib.asynccontextmanager
async def running(*loops: asyncio.Task[None]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
