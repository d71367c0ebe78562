"""Analysis of a document: the worker's way in. Never fails for the document's sake, never blocks
the event loop.

`open_analyst` keeps one analysis process for a worker's life. A process that dies or hangs is
replaced, and the analysers that have not run yet go on in the new one without the one that was
running.

A small document is asked for and answered in one piece, and the next one is sent meanwhile. Should
the process be lost, nobody knows at which analyser it was: the document is done again with notes.
"""

import asyncio
import contextlib
import pkgutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from parlance.contracts.analysis.insights import AnalyzerError, TrackerRules
from parlance.inference.analysis import profiles, remote
from parlance.inference.analysis import progress as progresses
from parlance.inference.analysis.documents import Document
from parlance.inference.analysis.isolation import child, frames, host
from parlance.inference.analysis.isolation.frames import (
    BeganNote,
    EndedNote,
    Kind,
    Order,
    VoiceTrack,
)
from parlance.inference.analysis.isolation.host import Child, ChildLost
from parlance.inference.analysis.progress import Analysis, Progress
from parlance.inference.analysis.remote import RemoteAnalyzer
from pydantic import ValidationError

DEADLINE_SECONDS = 120.0
"""Twenty times what a call of 30,000 segments takes on a free core; cores are not always free."""
MEMORY_MIB = 1024
"""Address space of the analysis process: a day of talk takes a tenth of it."""
_KILL_AFTER_SECONDS = 1.0
"""Beyond its share, for an analyser that the timer inside the process could not stop."""
_AT_ONCE_UNITS = frames.UNITS_PER_FRAME
_AT_ONCE_CHARACTERS = 50_000
"""Of a small document: its answer takes milliseconds to read, which may hold up the loop."""
_AT_ONCE_SECONDS = 5.0
"""For the answer of a small document, at most half of its time. A thousandth of it is usual, but a
process that is just starting takes a second or two."""
_REUSE_UP_TO_UNITS = 5000
"""After a larger document the process is replaced: Python hardly gives memory back."""
_UNHEALTHY = (AnalyzerError.TIMED_OUT, AnalyzerError.OUT_OF_MEMORY)
_NO_RULES = TrackerRules()


@dataclass(frozen=True, slots=True)
class _Work:
    """One document, and what is to be looked for in it."""

    document: Document
    rules: TrackerRules | None
    progress: Progress


@asynccontextmanager
async def open_analyst(
    *,
    profile: str = child.DEFAULT_PROFILE,
    memory_mib: int = MEMORY_MIB,
    remote_analyzers: Sequence[RemoteAnalyzer] = (),
) -> AsyncIterator["Analyst"]:
    """An analyst whose process ends with the context. The first document finds it started."""
    analyst = Analyst(profile, memory_mib, remote_analyzers)
    await analyst.warm_up()
    try:
        yield analyst
    finally:
        await analyst.close()


class Analyst:
    """Analyses documents one after the other in one process, which it replaces when needed."""

    def __init__(
        self, profile: str, memory_mib: int, remote_analyzers: Sequence[RemoteAnalyzer] = ()
    ) -> None:
        self._profile = profile
        self._memory_mib = memory_mib
        self._remote_analyzers = remote_analyzers
        self._build: child.Profile = pkgutil.resolve_name(profile)
        self._child: Child | None = None
        # One document at a time: analysis is CPU only, and two would share the same core. Who has
        # the turn may send to the process, who answers reads from it; a small document passes the
        # turn on before it has its answer, so that the process finds the next one waiting.
        self._turn = asyncio.Lock()
        self._answering = asyncio.Lock()

    async def analyze(
        self,
        document: Document,
        rules: TrackerRules | None = _NO_RULES,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
    ) -> Analysis:
        """Whatever goes wrong is in `Analysis.runs`; raises only when cancelled.

        `rules` None: the company's could not be read, which the trackers' run then says.
        `deadline_seconds` counts from the start of this document's turn and does not bound
        remote analysers, which have deadlines of their own.
        """
        if not self._remote_analyzers:  # nothing to wait for beside it: spares the tasks
            return await self._analyze_here(document, rules, deadline_seconds)
        local, ended = await asyncio.gather(
            self._analyze_here(document, rules, deadline_seconds),
            remote.run_all(self._remote_analyzers, document),
        )
        fields = dict(local.fields)
        for report in ended:
            progresses.note_run(report.run, report.trace)
            if report.findings is not None:
                fields |= dict(report.findings)
        return Analysis((*local.runs, *(report.run for report in ended)), fields)

    @property
    def child_pid(self) -> int | None:
        """Of the analysis process, while there is one."""
        return self._child.pid if self._child else None

    async def warm_up(self) -> None:
        """Start the process ahead: it takes some 0.3 s to be ready."""
        with contextlib.suppress(ChildLost):  # the first document tries again and tells
            self._child = await host.start_child(self._profile, self._memory_mib)

    async def close(self) -> None:
        """End the process; the next document starts another."""
        if self._child is not None:
            lost, self._child = self._child, None
            await lost.kill()

    async def _analyze_here(
        self, document: Document, rules: TrackerRules | None, deadline_seconds: float
    ) -> Analysis:
        if _is_small(document):
            analysis = await self._analyze_at_once(document, rules, deadline_seconds)
            if analysis is not None:
                return analysis
        async with self._turn, self._answering:
            ends_at = time.monotonic() + deadline_seconds
            analyzers = profiles.list_for(document, self._build(rules))
            work = _Work(document, rules, Progress(analyzers, ends_at))
            progress = work.progress
            try:
                while progress.remaining and progress.left_seconds > 0:
                    await self._work(work)
            except BaseException:
                await self.close()  # cancelled in the middle: its next frames are of this document
                raise
            progress.fail(progress.remaining, AnalyzerError.TIMED_OUT)
            if _is_worn(work):
                await self.close()
        return progress.build_analysis()

    async def _analyze_at_once(
        self, document: Document, rules: TrackerRules | None, deadline_seconds: float
    ) -> Analysis | None:
        """None where it must be done with notes, as there is no process or it was lost."""
        analyzers = profiles.list_for(document, self._build(rules))
        async with self._turn:
            if (process := self._child) is None:
                return None
            work = _Work(document, rules, Progress(analyzers, time.monotonic() + deadline_seconds))
            try:
                await process.send(_format_question(work))
                await self._answering.acquire()
            except ChildLost:
                await self.close()
                return None
            except BaseException:
                await self.close()  # cancelled: nobody would read the answer
                raise
        try:
            if self._child is not process:
                return None  # it was lost with the document before
            work.progress.ends_at = time.monotonic() + deadline_seconds
            return await self._receive_answer(process, work)
        finally:
            self._answering.release()

    async def _receive_answer(self, process: Child, work: _Work) -> Analysis | None:
        progress = work.progress
        try:
            async with asyncio.timeout(min(_AT_ONCE_SECONDS, progress.left_seconds / 2)):
                kind, payload = await process.receive()
            answer = frames.Answer.model_validate_json(payload) if kind is Kind.ANSWER else None
        except (TimeoutError, ChildLost, ValidationError):
            answer = None
        except BaseException:
            await self.close()
            raise
        if answer is None or not progress.take(answer):
            await self.close()
            return None
        if _is_worn(work):
            await self.close()
        return progress.build_analysis()

    async def _work(self, work: _Work) -> None:
        """Run the remaining analysers in one process. If that is lost, the analyser that was
        running has failed."""
        progress = work.progress
        code = AnalyzerError.CRASHED
        is_fresh = self._child is None
        try:
            if self._child is None:
                self._child = await host.start_child(self._profile, self._memory_mib)
            async with asyncio.timeout(progress.left_seconds):
                await _send(self._child, work)
            await _collect(self._child, progress)
            return
        except TimeoutError:
            code = AnalyzerError.TIMED_OUT
        except (ChildLost, ValidationError):
            pass  # it is gone, or it says what fits no contract
        await self.close()
        if is_fresh or progress.current is not None:
            progress.lose_process(code)
        # Otherwise the process died between two documents: no analyser of this one caused it.


def _is_worn(work: _Work) -> bool:
    return len(work.document.units) > _REUSE_UP_TO_UNITS or any(
        run.error_code in _UNHEALTHY for run in work.progress.runs.values()
    )


def _is_small(document: Document) -> bool:
    if len(document.units) > _AT_ONCE_UNITS:
        return False
    return sum(len(u.text) + len(u.full_text) for u in document.units) <= _AT_ONCE_CHARACTERS


def _format_question(work: _Work) -> bytes:
    """A small document and all that is asked about it."""
    order = _build_order(work, at_once=True)
    return b"".join(
        (
            frames.format_value(Kind.OPEN, order),
            frames.format_units(work.document.units),
            frames.format_frame(Kind.RUN),
        )
    )


def _build_order(work: _Work, *, at_once: bool = False) -> Order:
    document, progress = work.document, work.progress
    return Order(
        language=document.language,
        duration_ms=document.duration_ms,
        tracks=tuple(
            VoiceTrack(speaker=track.speaker, role=track.role, spans=track.spans)
            for track in document.tracks
        ),
        redact_pii=document.redact_pii,
        rules=work.rules,
        budget_seconds=progress.left_seconds,
        done=tuple(name for name, run in progress.runs.items() if run.ok),
        failed=tuple(name for name, run in progress.runs.items() if not run.ok),
        at_once=at_once,
    )


async def _send(process: Child, work: _Work) -> None:
    document = work.document
    await process.send(frames.format_value(Kind.OPEN, _build_order(work)))
    for first in range(0, len(document.units), frames.UNITS_PER_FRAME):
        batch = document.units[first : first + frames.UNITS_PER_FRAME]
        await process.send(frames.format_units(batch))
        await asyncio.sleep(0)  # a long call is many batches; others get their turn between
    await process.send(frames.format_frame(Kind.RUN))


async def _collect(process: Child, progress: Progress) -> None:
    while True:
        if (frame := process.take()) is None:
            async with asyncio.timeout(_plan_patience(progress)):
                frame = await process.receive()
        kind, payload = frame
        match kind:
            case Kind.BEGAN:
                progress.begin(BeganNote.model_validate_json(payload))
            case Kind.PART:
                frames.merge_part(progress.parts, payload)
            case Kind.ENDED:
                ended = EndedNote.model_validate_json(payload)
                progress.end(ended.run, ended.trace)
            case Kind.FINISHED:
                return
            case _:
                raise ChildLost("the analysis process answers with a question")


def _plan_patience(progress: Progress) -> float:
    """How many seconds the next word may take."""
    if (note := progress.current) is None:
        return max(progress.left_seconds, 0.0) + _KILL_AFTER_SECONDS
    return note.share_seconds + _KILL_AFTER_SECONDS
