"""Insights of a call: the worker's way in. Never raises for a call's sake, never blocks the loop.

`open_analyst` keeps one analysis process for a worker's life; `analyze` starts one for one call.
A process that dies or hangs is replaced, and the analysers that have not run yet go on in the new
one without the one that was running.
"""

import asyncio
import contextlib
import pkgutil
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog
from parlance.contracts.analysis.insights import (
    AnalyzerError,
    AnalyzerRun,
    Insights,
    TrackerRule,
)
from parlance.contracts.calls import Segment, Sentiment, Transcript
from parlance.inference.analysis import call, child, frames, host, runner
from parlance.inference.analysis.analyzers import Analyzer
from parlance.inference.analysis.frames import BeganNote, EndedNote, Kind, Order
from parlance.inference.analysis.host import Child, ChildLost
from prometheus_client import Counter, Histogram

DEADLINE_SECONDS = 120.0
"""Twenty times what a call of 30,000 segments takes on a free core; cores are not always free."""
MEMORY_MIB = 1024
"""Address space of the analysis process: a day of talk takes a tenth of it."""
_KILL_AFTER_SECONDS = 1.0
"""Beyond its share, for an analyser that the timer inside the process could not stop."""
_REUSE_UP_TO_SEGMENTS = 5000
"""After a larger call the process is replaced: Python hardly gives memory back."""
_UNHEALTHY = {AnalyzerError.TIMED_OUT, AnalyzerError.OUT_OF_MEMORY}

_log = structlog.get_logger(__name__)
_SECONDS = Histogram(
    "parlance_insights_analyzer_seconds",
    "Time an analyser took for a call.",
    ["analyzer"],
    buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60),
)
_FAILURES = Counter(
    "parlance_insights_analyzer_failures_total",
    "Analysers that gave no result, by reason.",
    ["analyzer", "error_code"],
)


async def analyze(
    transcript: Transcript,
    *,
    trackers: Sequence[TrackerRule] = (),
    deadline_seconds: float = DEADLINE_SECONDS,
) -> Insights:
    """Insights of one call, with a process of its own: for tools and single calls."""
    async with open_analyst() as analyst:
        return await analyst.analyze(
            transcript, trackers=trackers, deadline_seconds=deadline_seconds
        )


@asynccontextmanager
async def open_analyst(
    *, profile: str = child.DEFAULT_PROFILE, memory_mib: int = MEMORY_MIB
) -> AsyncIterator["Analyst"]:
    """An analyst whose process ends with the context. The first call finds it started."""
    analyst = Analyst(profile, memory_mib)
    await analyst.warm_up()
    try:
        yield analyst
    finally:
        await analyst.close()


def annotate_segments(
    segments: Iterable[Segment], sentiments: dict[str, Sentiment]
) -> tuple[Segment, ...]:
    """The segments with the sentiments of an analysis (`Insights.segment_sentiments`)."""
    return tuple(
        segment.model_copy(update={"sentiment": sentiments[segment.id]})
        if segment.id in sentiments
        else segment
        for segment in segments
    )


@dataclass(slots=True)
class _Progress:
    """What is known about one call so far."""

    analyzers: tuple[Analyzer, ...]
    ends_at: float
    fields: dict[str, object] = field(default_factory=dict)
    """Of `Insights`, from analysers that have ended well."""
    parts: dict[str, object] = field(default_factory=dict)
    """From the analyser that is running."""
    runs: dict[str, AnalyzerRun] = field(default_factory=dict)
    current: BeganNote | None = None
    began_at: float = 0.0

    @property
    def left_seconds(self) -> float:
        return self.ends_at - time.monotonic()

    @property
    def remaining(self) -> list[Analyzer]:
        return [analyzer for analyzer in self.analyzers if analyzer.name not in self.runs]

    def begin(self, note: BeganNote) -> None:
        self.current, self.began_at = note, time.monotonic()

    def end(self, note: EndedNote) -> None:
        run = note.run
        self.current = None
        self.fields |= self.parts if run.ok else {}
        self.parts = {}
        self.runs[run.name] = run
        _SECONDS.labels(run.name).observe(run.seconds)
        if not run.ok and run.error_code != AnalyzerError.UNSUPPORTED_LANGUAGE:
            _FAILURES.labels(run.name, run.error_code).inc()
            _log.warning(
                "insights.analyzer_failed",
                analyzer=run.name,
                error_code=run.error_code,
                trace=note.trace,
            )

    def fail(
        self, analyzers: Iterable[Analyzer], code: AnalyzerError, seconds: float = 0.0
    ) -> None:
        for analyzer in analyzers:
            ended = runner.build_failure(analyzer, code, seconds=seconds)
            self.end(EndedNote(run=ended.run))

    def build_insights(self, transcript: Transcript) -> Insights:
        empty = Insights(
            call_id=transcript.call_id,
            attempt=transcript.attempt,
            analyzers=tuple(self.runs[analyzer.name] for analyzer in self.analyzers),
        )
        # A copy, as every part was validated when it came in: once more would hold up the loop
        # for a long call, with its thousands of segment sentiments.
        return empty.model_copy(update=self.fields)

    def lose(self, code: AnalyzerError) -> None:
        """The process is lost: the analyser it was at has failed, the others have not."""
        note, self.current = self.current, None
        running = [analyzer for analyzer in self.remaining if note and analyzer.name == note.name]
        # Lost before one began, or while one was done again for others: it would be lost again.
        seconds = time.monotonic() - self.began_at if running else 0.0
        self.fail(running or self.remaining, code, seconds)


class Analyst:
    """Analyses calls one after the other in one process, which it replaces when needed."""

    def __init__(self, profile: str, memory_mib: int) -> None:
        self._profile = profile
        self._memory_mib = memory_mib
        self._build: child.Profile = pkgutil.resolve_name(profile)
        self._child: Child | None = None
        # One call at a time: analysis is CPU only, and two calls would share the same core.
        self._turn = asyncio.Lock()

    async def analyze(
        self,
        transcript: Transcript,
        *,
        trackers: Sequence[TrackerRule] = (),
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> Insights:
        """Whatever goes wrong is in `Insights.analyzers`; raises only when cancelled.

        `deadline_seconds` counts from the start of this call's turn.
        """
        async with self._turn:
            progress = _Progress(self._build(trackers), ends_at=time.monotonic() + deadline_seconds)
            try:
                while progress.remaining and progress.left_seconds > 0:
                    await self._work(transcript, trackers, progress)
            except BaseException:
                await self.close()  # cancelled in the middle: what it says next is nobody's
                raise
            progress.fail(progress.remaining, AnalyzerError.TIMED_OUT)
            if self._is_worn(transcript, progress):
                await self.close()
        return progress.build_insights(transcript)

    @property
    def child_pid(self) -> int | None:
        """Of the analysis process, while there is one."""
        return self._child.pid if self._child else None

    async def warm_up(self) -> None:
        """Start the process ahead: it takes some 0.3 s to be ready."""
        with contextlib.suppress(ChildLost):  # the first call tries again and tells
            self._child = await host.start_child(self._profile, self._memory_mib)

    async def close(self) -> None:
        """End the process; the next call starts another."""
        if self._child is not None:
            lost, self._child = self._child, None
            await lost.kill()

    def _is_worn(self, transcript: Transcript, progress: _Progress) -> bool:
        return len(transcript.segments) > _REUSE_UP_TO_SEGMENTS or any(
            run.error_code in _UNHEALTHY for run in progress.runs.values()
        )

    async def _work(
        self, transcript: Transcript, trackers: Sequence[TrackerRule], progress: _Progress
    ) -> None:
        """One process's go at what remains. If it is lost, the analyser it was at has failed."""
        code = AnalyzerError.CRASHED
        is_fresh = self._child is None
        try:
            if self._child is None:
                self._child = await host.start_child(self._profile, self._memory_mib)
            async with asyncio.timeout(progress.left_seconds):
                await self._send(self._child, transcript, trackers, progress)
            await self._collect(self._child, progress)
            return
        except TimeoutError:
            code = AnalyzerError.TIMED_OUT
        except ChildLost:
            pass
        await self.close()
        if is_fresh or progress.current is not None:
            progress.lose(code)
        # Otherwise it died between two calls, and that is nobody's fault here.

    async def _send(
        self,
        process: Child,
        transcript: Transcript,
        trackers: Sequence[TrackerRule],
        progress: _Progress,
    ) -> None:
        order = Order(
            call_id=transcript.call_id,
            attempt=transcript.attempt,
            duration_seconds=transcript.media.duration_seconds,
            language=transcript.language,
            speech=transcript.speech,
            rules=tuple(trackers),
            budget_seconds=progress.left_seconds,
            done=tuple(name for name, run in progress.runs.items() if run.ok),
            failed=tuple(name for name, run in progress.runs.items() if not run.ok),
        )
        await process.send(frames.format_value(Kind.OPEN, order))
        for first in range(0, len(transcript.segments), frames.UTTERANCES_PER_FRAME):
            batch = transcript.segments[first : first + frames.UTTERANCES_PER_FRAME]
            await process.send(frames.format_utterances(call.parse_segments(batch)))
            await asyncio.sleep(0)  # a long call is many batches; others get their turn between
        await process.send(frames.format_frame(Kind.RUN))

    async def _collect(self, process: Child, progress: _Progress) -> None:
        while True:
            async with asyncio.timeout(self._patience(progress)):
                kind, payload = await process.receive()
            match kind:
                case Kind.BEGAN:
                    progress.begin(BeganNote.model_validate_json(payload))
                case Kind.PART:
                    frames.merge_part(progress.parts, payload)
                case Kind.ENDED:
                    progress.end(EndedNote.model_validate_json(payload))
                case Kind.FINISHED:
                    return
                case _:
                    raise ChildLost("the analysis process answers with a question")

    def _patience(self, progress: _Progress) -> float:
        """How long the next word may take."""
        if (note := progress.current) is None:
            return max(progress.left_seconds, 0.0) + _KILL_AFTER_SECONDS
        return note.share_seconds + _KILL_AFTER_SECONDS
