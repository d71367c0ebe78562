"""Stand-ins for what lies around the worker: the bus, the model, the recording."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import numpy as np
from parlance.contracts.bus.calls import EVENTS, CallDispatch, Progress, build_event
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.jobs import ControlAction, Dispatch
from parlance.contracts.calls import ChannelPolicy, MediaInfo, ModelInfo, Priority, Speech, Stage
from parlance.contracts.ids import CallId, CompanySlug
from parlance.contracts.tensors import AsrSegment, AsrWindow
from parlance.inference.analysis.progress import Analysis
from parlance.inference.asr.transcriber import WindowRequest
from parlance.inference.audio.packer import Piece, Window
from parlance.inference.calls.fetching import Fetcher
from parlance.inference.calls.intake import Audio
from parlance.inference.calls.kind import CallKind
from parlance.inference.calls.task import Tools
from parlance.inference.engine.endings import Ending
from parlance.inference.engine.gate import Gate
from parlance.inference.engine.lease import Lease
from parlance.inference.engine.patience import Patience
from parlance.inference.engine.reporter import Reporter
from parlance.inference.engine.runner import Runner
from parlance.runtime.clock import Clock, SystemClock
from parlance.runtime.store import Store

D = TypeVar("D", bound=Dispatch)

CALL_ID = CallId("0192f0c1-2345-7abc-8def-0123456789ab")
MODEL = ModelInfo(name="tiny.en", hash="m0de1" * 12, runtime="triton")
AUDIO_KEY = "acme/calls/audio.wav"


def build_dispatch(
    *,
    attempt: int = 1,
    call_id: CallId = CALL_ID,
    priority: Priority = Priority.STANDARD,
    channels: ChannelPolicy = ChannelPolicy.AUTO,
    object_key: str | None = AUDIO_KEY,
    uri: str | None = None,
    sha256: str | None = None,
    backoff_limit: int = 3,
    seconds_left: float | None = None,
    stages: tuple[Stage, ...] = tuple(Stage),
) -> CallDispatch:
    return CallDispatch(
        call_id=call_id,
        company=CompanySlug("acme"),
        attempt=attempt,
        backoff_limit=backoff_limit,
        name=f"call-{call_id}",
        namespace="parlance",
        uid=call_id,
        object_key=object_key,
        uri=uri,
        sha256=sha256,
        channels=channels,
        priority=priority,
        seconds_left=seconds_left,
        stages=stages,
        dispatched_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@dataclass
class FakeDelivery(Generic[D]):
    """Notes how it was answered."""

    value: D
    sequence: int = 1
    attempts: int = 1
    answers: list[str] = field(default_factory=list)
    beats: int = 0
    log: list[str] = field(default_factory=list)
    """Shared with the bus, to see the order of things."""

    async def ack(self) -> None:
        self._answer("ack")

    async def ack_unconfirmed(self) -> None:
        self._answer("ack unconfirmed")

    async def nak(self, delay_seconds: float = 0.0) -> None:
        self._answer(f"nak {delay_seconds:g}")

    async def term(self) -> None:
        self._answer("term")

    async def in_progress(self) -> None:
        self.beats += 1

    def _answer(self, answer: str) -> None:
        self.answers.append(answer)
        self.log.append(answer)


@dataclass(frozen=True)
class FakeStored:
    sequence: int
    envelope: Envelope


class FakeBus:
    """Events and results in lists, lanes as lists."""

    def __init__(self) -> None:
        self.is_connected = True
        self.jobs_epoch = "first"
        self.job_heartbeat_seconds = 10.0
        self.events: list[Envelope] = []
        self.results: list[Envelope] = []
        self.lanes: dict[Priority, list[FakeDelivery[Any]]] = {lane: [] for lane in Priority}
        """Of all kinds of work."""
        self.pulled: list[Priority] = []
        self.is_pulling_stopped = False
        self.notes: dict[str, ControlAction] = {}
        self.log: list[str] = []
        self._note_queue: asyncio.Queue[tuple[str, ControlAction]] = asyncio.Queue()

    @property
    def types(self) -> list[str]:
        return [event.type.removeprefix("call.") for event in self.events]

    def find(self, type_: str) -> Envelope:
        return next(event for event in self.events if event.type == type_)

    def deliver(self, dispatch: D, *, sequence: int = 1, attempts: int = 1) -> FakeDelivery[D]:
        delivery = FakeDelivery(dispatch, sequence=sequence, attempts=attempts, log=self.log)
        self.lanes[dispatch.priority].append(delivery)
        return delivery

    async def publish_event(self, envelope: Envelope) -> int:
        known = [event.id for event in self.events]
        if envelope.id in known:
            return known.index(envelope.id) + 1
        self.events.append(envelope)
        self.log.append(envelope.type)
        return len(self.events)

    async def publish_result(self, envelope: Envelope) -> None:
        if envelope.id not in [result.id for result in self.results]:
            self.results.append(envelope)
            self.log.append(envelope.type)

    async def pull_jobs(
        self,
        expected: type[D],
        priority: Priority,
        *,
        batch: int = 1,
        wait_seconds: float = 0.0,
    ) -> Sequence[FakeDelivery[D]]:
        lane = self.lanes[priority]

        def find() -> list[FakeDelivery[D]]:
            return [each for each in lane if isinstance(each.value, expected)][:batch]

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_seconds):
                while wait_seconds and not find():
                    await asyncio.sleep(0.005)
        found = find()
        if found:
            self.pulled.append(priority)
        for delivery in found:
            lane.remove(delivery)
        return found

    async def stop_pulling(self) -> None:
        self.is_pulling_stopped = True

    async def read_events(self, filter_subject: str) -> AsyncIterator[FakeStored]:
        prefix = filter_subject.removesuffix(">")
        for sequence, envelope in enumerate(self.events, start=1):
            if envelope.nats_subject.startswith(prefix):
                yield FakeStored(sequence, envelope)

    async def get_control(self, job_id: str) -> ControlAction | None:
        return self.notes.get(job_id)

    async def watch_control(self) -> AsyncIterator[tuple[str, ControlAction]]:
        while True:
            yield await self._note_queue.get()

    def leave_note(self, job_id: str, action: ControlAction) -> None:
        self.notes[job_id] = action
        self._note_queue.put_nowait((job_id, action))


def build_delivery(
    bus: FakeBus,
    *,
    attempt: int = 1,
    attempts: int = 1,
    sequence: int = 1,
    backoff_limit: int = 3,
) -> FakeDelivery[CallDispatch]:
    """Not in a lane of the bus: for a runner that a test makes itself."""
    dispatch = build_dispatch(attempt=attempt, backoff_limit=backoff_limit)
    return FakeDelivery(dispatch, sequence=sequence, attempts=attempts, log=bus.log)


class FakeTranscriber:
    """Hears `word <first sample>` in every window; can be held, or made to fail."""

    def __init__(self, model: ModelInfo = MODEL) -> None:
        self.model = model
        self.text = ""
        self.texts: dict[int, str] = {}
        """By the first sample of the window; instead of `text`."""
        self.requests: list[WindowRequest] = []
        self.failures: list[Exception] = []
        self.open = asyncio.Event()
        self.open.set()
        self.delays_seconds: dict[int, float] = {}
        """By number of the request, from 0."""
        self.running = 0
        self.most_running = 0

    async def identify(self) -> ModelInfo:
        return self.model

    async def transcribe(self, request: WindowRequest) -> AsrWindow:
        number = len(self.requests)
        self.requests.append(request)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await self.open.wait()
            await asyncio.sleep(self.delays_seconds.get(number, 0))
            if self.failures:
                raise self.failures.pop(0)
        finally:
            self.running -= 1
        text = self.texts.get(int(request.pcm[0]), self.text or f"word {request.pcm[0]}")
        return AsrWindow(
            text=text,
            segments=(AsrSegment(start_seconds=0.0, end_seconds=0.5, text=text),),
            avg_logprob=-0.2,
            language="en",
            model=self.model.name,
            model_hash=self.model.hash,
        )


def build_sign(number: int, *, run: int = 1) -> Envelope:
    """That another worker lives, which works on the call."""
    sign = Progress(percent=0, stage=Stage.TRANSCRIBE, processed_seconds=0, total_seconds=0)
    return build_event(
        sign,
        company=CompanySlug("acme"),
        call_id=CALL_ID,
        attempt=1,
        detail=f"worker.{run}.{number}",
    )


def lose_runs(bus: FakeBus, count: int) -> None:
    """So many runs of the call began and were not heard of again."""
    bus.events.extend(build_sign(0, run=run) for run in range(1, count + 1))


def build_window(index: int, *, channel: int = 0, seconds: float = 1.0) -> Window:
    """A window at `10 x index` seconds of the call, whose first sample is its index."""
    return Window(
        index=index,
        channel=channel,
        samples=np.full(int(seconds * 16_000), index, np.int16),
        pieces=(Piece(0.0, 10.0 * index, seconds),),
    )


class FakeStream:
    """Windows from a list; fails at the end if told to."""

    def __init__(
        self, windows: Sequence[Window], *, channels: int = 1, failure: Exception | None = None
    ) -> None:
        self._windows = windows
        self._failure = failure
        self.channels = channels
        self.made = 0
        self.speech = tuple(Speech(channel=n, spans=((0.0, 1.0),)) for n in range(channels))
        self.media = MediaInfo(
            container="wav",
            codec="pcm_s16le",
            channels=channels,
            sample_rate_hz=16_000,
            duration_seconds=10.0 * len(windows),
        )
        self.timings: Mapping[str, float] = {"vad": 0.1}

    async def windows(self) -> AsyncGenerator[Window, None]:
        for window in self._windows:
            self.made += 1
            yield window
        if self._failure is not None:
            raise self._failure


class FakeOpener:
    """Opens the same stream whatever the audio."""

    def __init__(self, stream: FakeStream) -> None:
        self.stream = stream
        self.opened = 0

    @asynccontextmanager
    async def __call__(self, audio: Audio, policy: ChannelPolicy) -> AsyncIterator[FakeStream]:
        self.opened += 1
        yield self.stream


class NoFetcher:
    async def fetch(self, dispatch: CallDispatch) -> str:
        raise AssertionError("nothing to fetch here")


async def analyze(document: object, rules: object) -> Analysis:
    return Analysis((), {})


def build_patience(deadline_seconds: float = 0.0) -> Patience:
    """Gives up at once unless told otherwise."""
    return Patience(SystemClock(), deadline_seconds=deadline_seconds)


def build_tools(
    store: Store,
    stream: FakeStream,
    transcriber: FakeTranscriber,
    *,
    per_call: int = 4,
    fetcher: Fetcher | None = None,
) -> Tools:
    return Tools(
        name="worker-a",
        store=store,
        fetcher=fetcher or NoFetcher(),
        transcriber=transcriber,
        open_windows=FakeOpener(stream),
        analyze=analyze,
        read_patience=build_patience(),
        gate=Gate(8),
        windows_per_call=per_call,
    )


def build_kind(tools: Tools, *, problem: str | None = None) -> CallKind:
    return CallKind(tools, find_problem=lambda: problem)


def build_runner(
    bus: FakeBus,
    tools: Tools,
    delivery: FakeDelivery[CallDispatch],
    *,
    clock: Clock | None = None,
    patience_seconds: float = 0.0,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Runner[CallDispatch]:
    """A run of a call."""
    clock, patience = clock or SystemClock(), build_patience(patience_seconds)
    return Runner(bus, build_kind(tools), clock, patience, delivery, sleep=sleep)


def build_reporter(
    bus: FakeBus,
    dispatch: CallDispatch | None = None,
    *,
    run: int = 1,
    patience: Patience | None = None,
    lease: Lease[CallDispatch] | None = None,
) -> Reporter:
    """Of a run of a call."""
    lease = lease or Lease(bus, FakeDelivery(dispatch or build_dispatch()))
    clock, patience = SystemClock(), patience or build_patience()
    return Reporter(bus, lease, EVENTS, clock, patience, run=run)


async def start_run(
    runner: Runner[CallDispatch], transcriber: FakeTranscriber
) -> asyncio.Task[Ending]:
    """Running, and held up by the speech model."""
    transcriber.open.clear()
    run = asyncio.create_task(runner.run())
    async with asyncio.timeout(5):
        while not transcriber.requests:
            await asyncio.sleep(0.001)
    return run
