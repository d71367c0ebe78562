"""Windows of one call through the speech model: several on their way at once, published in order.

Memory is bounded by the number of windows on their way. The model server says when it is full;
then they wait here, no further window is cut, and the decoder waits too.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field

from parlance.contracts.bus import subjects
from parlance.contracts.bus.calls import CallDispatch, SegmentsReady
from parlance.contracts.calls import ModelInfo, Priority, Segment
from parlance.contracts.crs.meta import Reason
from parlance.contracts.tensors import AsrOptions, AsrWindow
from parlance.inference.asr.transcriber import Transcriber, WindowRequest
from parlance.inference.audio.packer import Window
from parlance.inference.calls import metrics, segments
from parlance.inference.calls.errors import ModelChanged
from parlance.inference.calls.progress import CallProgress
from parlance.inference.calls.recording import WindowStream
from parlance.inference.engine.gate import Gate
from parlance.inference.engine.patience import Patience
from parlance.inference.engine.reporter import Reporter
from parlance.inference.engine.waits import Awaited
from parlance.inference.speakers import channels

MODEL = Awaited("asr", Reason.WAITING_FOR_MODEL, "waiting for the speech model")


class CallSlots:
    """Windows that one call may have on their way: one at first, one more for each that is done.

    Of calls that begin together each gets its first segment before any fills the model's queue.
    """

    def __init__(self, per_call: int) -> None:
        self._left_to_add = per_call - 1
        self._slots = asyncio.Semaphore(1)

    async def take(self) -> None:
        await self._slots.acquire()

    def give_back(self) -> None:
        self._slots.release()
        if self._left_to_add > 0:
            self._left_to_add -= 1
            self._slots.release()


@dataclass(slots=True)
class Tally:
    """What came out so far."""

    segments: list[Segment] = field(default_factory=list)
    level_db: dict[str, float] = field(default_factory=dict)
    """Loudness by segment id, for calls with two channels."""
    language_seconds: dict[str, float] = field(default_factory=dict)
    dropped_windows: int = 0
    processed_seconds: float = 0.0
    first_segment_at: float | None = None
    """Monotonic time of the first segment on the bus."""
    wait_seconds: float = 0.0
    """Time in which nothing could be published because the model was still transcribing."""


_Pending = tuple[Window, asyncio.Task[AsrWindow] | None]
"""A window and its result to come; None where an earlier run has published it."""


class Transcription:
    """One pass over one call."""

    def __init__(
        self,
        *,
        transcriber: Transcriber,
        patience: Patience,
        gate: Gate,
        windows_per_call: int,
        reporter: Reporter,
        progress: CallProgress,
        dispatch: CallDispatch,
        model: ModelInfo,
        done: Mapping[int, SegmentsReady],
        resets: int = 0,
    ) -> None:
        self._transcriber = transcriber
        self._patience = patience
        self._gate = gate
        self._reporter = reporter
        self._progress = progress
        self._dispatch = dispatch
        self._model = model
        self._done = done
        self._resets = resets
        self._options = AsrOptions(language=dispatch.language)
        self._windows_per_call = windows_per_call
        self._slots = CallSlots(windows_per_call)
        self.tally = Tally()

    async def run(self, stream: WindowStream) -> Tally:
        """Transcribe every window that has no result yet, publishing each as it is done."""
        pending: asyncio.Queue[_Pending | None] = asyncio.Queue(self._windows_per_call)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send_all(group, stream, pending), name="windows")
            await self._publish_all(pending, stream)
        return self.tally

    async def _send_all(
        self,
        group: asyncio.TaskGroup,
        stream: WindowStream,
        pending: asyncio.Queue[_Pending | None],
    ) -> None:
        is_first = True
        async with aclosing(stream.windows()) as windows:
            async for window in windows:
                if window.index in self._done:
                    await pending.put((window, None))
                    continue
                await self._slots.take()
                result = group.create_task(self._transcribe(window, is_first=is_first))
                is_first = False
                await pending.put((window, result))
        await pending.put(None)

    async def _transcribe(self, window: Window, *, is_first: bool) -> AsrWindow:
        """One window, however long the model is away. The first one of a call overtakes the
        others: it is short, and somebody waits to see the first words."""
        request = WindowRequest(
            pcm=window.samples,
            options=self._options,
            priority=Priority.INTERACTIVE if is_first else self._dispatch.priority,
            request_id=f"{self._dispatch.call_id}/{window.index}",
        )
        if is_first:
            return await self._ask(request)
        async with self._gate.place(self._dispatch.priority):
            return await self._ask(request)

    async def _ask(self, request: WindowRequest) -> AsrWindow:
        result = await self._patience.persist(MODEL, lambda: self._transcriber.transcribe(request))
        if result.model_hash != self._model.hash:
            raise ModelChanged(self._model.hash, result.model_hash)
        return result

    async def _publish_all(
        self, pending: asyncio.Queue[_Pending | None], stream: WindowStream
    ) -> None:
        while (head := await pending.get()) is not None:
            window, result = head
            if result is None:
                self._reuse(self._done[window.index])
                continue
            started = time.perf_counter()
            answer = await result
            self.tally.wait_seconds += time.perf_counter() - started
            await self._publish(window, answer, stream)
            self._slots.give_back()

    async def _publish(self, window: Window, answer: AsrWindow, stream: WindowStream) -> None:
        speaker = channels.plan_speakers(self._dispatch.channels, stream.channels)[window.channel]
        ready = SegmentsReady(
            window=window.index,
            channel=window.channel,
            speaker=speaker.key,
            role=speaker.role,
            start_seconds=window.start_seconds,
            end_seconds=window.end_seconds,
            segments=segments.build_segments(window, answer, speaker),
            levels_db=segments.measure_levels(window, answer) if stream.channels > 1 else (),
            language=answer.language,
            guard=answer.guard,
            guard_reason=answer.guard_reason,
            model_hash=answer.model_hash,
            processed_seconds=max(self.tally.processed_seconds, window.end_seconds),
            total_seconds=max(stream.media.duration_seconds, window.end_seconds),
        )
        id_ = subjects.format_window_id(
            self._dispatch.call_id, ready.model_hash, ready.window, self._resets
        )
        await self._reporter.publish(ready, id_=id_)
        self._progress.note_window(ready)
        if self.tally.first_segment_at is None and ready.segments:
            self.tally.first_segment_at = time.monotonic()
        self._count(ready)

    def _reuse(self, ready: SegmentsReady) -> None:
        metrics.REUSED_WINDOWS.inc()
        self._progress.note_window(ready)
        self._count(ready)

    def _count(self, ready: SegmentsReady) -> None:
        tally = self.tally
        tally.segments += ready.segments
        ids = (segment.id for segment in ready.segments)
        tally.level_db.update(zip(ids, ready.levels_db, strict=False))
        tally.processed_seconds = max(tally.processed_seconds, ready.processed_seconds)
        tally.dropped_windows += ready.guard == "dropped"
        if ready.segments:
            seconds = ready.end_seconds - ready.start_seconds
            known_seconds = tally.language_seconds.get(ready.language, 0.0)
            tally.language_seconds[ready.language] = known_seconds + seconds
