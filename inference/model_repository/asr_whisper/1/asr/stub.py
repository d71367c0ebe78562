"""Stands in for a speech model where speech is not the point: tests of faults, queues and load.

It hears nothing. The text of a window names its samples, so that a window which is lost, repeated
or out of order shows in the transcript; the same samples always give the same text. Only
`PARLANCE_ASR_ENGINE=stub` chooses it, and the model's log, and the name and hash in every result,
say that it is a stub.

A window's prompt may be an order to it, so that a test can be where it wants to be in a batch:

    fail            its batch raises, as one does that the model fails on
    hold <folder>   its batch makes the file `held` there and waits for the file `go`
"""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

from asr.engine import Segment, Transcript, Window
from asr.mel import SAMPLE_RATE_HZ
from asr.options import AUTO, Options

HELD, GO = "held", "go"
_LANGUAGE = "en"
_MAX_HOLD_SECONDS = 60.0
"""A test that has died must not keep the server that others use."""
_POLL_SECONDS = 0.005


class StubEngine:
    """Takes the same time for each batch, however many windows are in it."""

    name = "stub"
    digest = "stub"

    def __init__(self, batch_seconds: float) -> None:
        self._batch_seconds = batch_seconds

    def check(self, options: Options) -> None:
        """Accept any options: none of them changes the text."""

    def transcribe(self, windows: Sequence[Window]) -> list[Transcript | None]:
        """A text for each window, in order; None for a window cancelled before its turn, which
        comes after its batch was held."""
        for window in windows:
            _follow_order(window.options.prompt)
        live = [not window.is_cancelled() for window in windows]
        if any(live):
            time.sleep(self._batch_seconds)
        return [
            _build_transcript(window, batch=sum(live)) if is_live else None
            for window, is_live in zip(windows, live, strict=True)
        ]


def _follow_order(prompt: str) -> None:
    order, _, argument = prompt.partition(" ")
    if order == "fail":
        raise RuntimeError("ordered to fail")
    if order == "hold":
        _hold(Path(argument))


def _hold(folder: Path) -> None:
    (folder / HELD).touch()
    give_up_at = time.monotonic() + _MAX_HOLD_SECONDS
    while not (folder / GO).exists() and time.monotonic() < give_up_at:
        time.sleep(_POLL_SECONDS)


def _build_transcript(window: Window, *, batch: int) -> Transcript:
    samples = hashlib.sha256(window.pcm.tobytes()).hexdigest()[:8]
    segment = Segment(
        text=f"This is stub text of window {samples}.",
        start_seconds=0.0,
        end_seconds=round(len(window.pcm) / SAMPLE_RATE_HZ, 2),
        tokens=(),
    )
    language = window.options.language
    return Transcript(
        segments=(segment,),
        avg_logprob=0.0,
        no_speech_prob=0.0,
        temperature=0.0,
        language=_LANGUAGE if language == AUTO else language,
        batch=batch,
    )
