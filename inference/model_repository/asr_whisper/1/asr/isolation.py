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
_MEMORY_TEXTS = ("out of memory", "ALLOC_FAILED")
"""In what CTranslate2 and the libraries below it raise when memory is short."""


def transcribe(engine: Engine, windows: Sequence[Window], log: Log) -> list[Outcome]:
    """An outcome for each window, in order. Raises nothing."""
    outcomes = _transcribe_halves(engine, windows, log)
    blamed = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, WindowFailed)]
    if blamed and not selftest.can_decode(engine):
        # Also where windows before it were decoded: a GPU may be lost in the middle of a batch.
        return [ModelFailed() if isinstance(each, WindowFailed) else each for each in outcomes]
    for n in blamed:  # once more, since its failure ends the call: it may have been of the moment
        outcomes[n] = _transcribe_halves(engine, [windows[n]], log)[0]
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
    if isinstance(exc, MemoryError) or any(text in str(exc) for text in _MEMORY_TEXTS):
        return ModelFailed()  # the machine is short of memory; at another time the window fits
    return WindowFailed(type(exc).__name__)
