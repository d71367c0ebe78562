"""One window that the model fails on costs its own result, not those of its batch.

A batch that fails is decoded again in halves, and these in halves, down to single windows. Nearly
always no batch fails; where one does, each of its good windows is decoded a few times more.
"""

from collections.abc import Callable, Sequence

from asr import selftest
from asr.engine import Engine, Transcript, Window
from asr.errors import ModelFailed, WindowFailed

Outcome = Transcript | WindowFailed | ModelFailed | None
"""None for a window that was cancelled before its turn."""
Log = Callable[[str], None]


def transcribe(engine: Engine, windows: Sequence[Window], log: Log) -> list[Outcome]:
    """An outcome for each window, in order. Raises nothing."""
    outcomes = _transcribe_halves(engine, windows, log)
    is_blaming = any(isinstance(outcome, WindowFailed) for outcome in outcomes)
    if is_blaming and not selftest.can_decode(engine):
        # Also where windows before it were decoded: a GPU may be lost in the middle of a batch.
        return [ModelFailed() if isinstance(each, WindowFailed) else each for each in outcomes]
    return outcomes


def _transcribe_halves(engine: Engine, windows: Sequence[Window], log: Log) -> list[Outcome]:
    if not windows:
        return []
    try:
        transcripts = engine.transcribe(windows)
        if len(transcripts) != len(windows):
            raise ModelFailed
        return list(transcripts)
    except Exception as exc:  # noqa: BLE001 - whatever a decode raises, the others must go on
        log(f"{len(windows)} windows failed: {exc!r}")
        if len(windows) == 1:
            return [_build_failure(exc)]
    middle = len(windows) // 2
    return [
        *_transcribe_halves(engine, windows[:middle], log),
        *_transcribe_halves(engine, windows[middle:], log),
    ]


def _build_failure(exc: Exception) -> WindowFailed | ModelFailed:
    if isinstance(exc, MemoryError) or "out of memory" in str(exc):
        return ModelFailed()  # the machine is short of memory; at another time the window fits
    return WindowFailed(type(exc).__name__)
