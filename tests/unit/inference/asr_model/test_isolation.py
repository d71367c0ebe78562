"""A window that the model fails on gets an error of its own; the others get their texts."""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from asr import isolation
from asr.engine import Transcript, Window
from asr.errors import AsrError, ModelFailed, WindowFailed
from asr.options import Options


class FakeEngine:
    """Fails on every batch in which `is_bad` finds a window; remembers the sizes of all."""

    name = "fake"
    digest = "0"

    def __init__(self, is_bad: Callable[[Window], bool], fault: Exception | None = None) -> None:
        self._is_bad = is_bad
        self._fault = fault or RuntimeError("no position encodings")
        self.batches: list[int] = []

    def check(self, options: Options) -> None:
        pass

    def transcribe(self, windows: Sequence[Window]) -> list[Transcript | None]:
        self.batches.append(len(windows))
        if any(self._is_bad(window) for window in windows):
            raise self._fault
        return [None if window.is_cancelled() else _build(window) for window in windows]


def _build(window: Window) -> Transcript:
    return Transcript((), 0.0, 0.0, 0.0, window.options.language)


def build_windows(*names: str) -> list[Window]:
    """Named by their language; `cancelled` is."""
    return [
        Window(
            np.zeros(1600, np.int16),
            Options(language=name),
            functools.partial(str.__eq__, name, "gone"),
        )
        for name in names
    ]


def is_named_bad(window: Window) -> bool:
    return window.options.language == "bad"


def describe(outcomes: Sequence[isolation.Outcome]) -> list[object]:
    """Texts by their window's name, errors by their type."""
    return [
        outcome.language if isinstance(outcome, Transcript) else outcome and type(outcome)
        for outcome in outcomes
    ]


def transcribe(engine: FakeEngine, *names: str) -> list[object]:
    return describe(isolation.transcribe(engine, build_windows(*names), lambda _: None))


def test_windows_that_nothing_is_wrong_with_are_decoded_once_and_together() -> None:
    engine = FakeEngine(is_named_bad)

    assert transcribe(engine, "a", "b", "gone", "c") == ["a", "b", None, "c"]
    assert engine.batches == [4]


@pytest.mark.parametrize("place", range(5))
def test_only_the_bad_window_fails(place: int) -> None:
    names = ["a", "b", "c", "d"]
    names.insert(place, "bad")

    outcomes = transcribe(FakeEngine(is_named_bad), *names)

    assert outcomes.pop(place) is WindowFailed
    assert outcomes == ["a", "b", "c", "d"]


def test_a_fault_that_does_not_come_again_costs_nobody_anything() -> None:
    class FailsOnce(FakeEngine):
        def transcribe(self, windows: Sequence[Window]) -> list[Transcript | None]:
            answers = super().transcribe(windows)
            if len(self.batches) == 1:
                raise RuntimeError("for a moment")
            return answers

    assert transcribe(FailsOnce(is_named_bad), "a", "b", "gone") == ["a", "b", None]
    assert transcribe(FailsOnce(is_named_bad), "alone") == ["alone"]


def test_a_model_that_fails_on_everything_blames_no_window() -> None:
    assert transcribe(FakeEngine(lambda _: True), "a", "b") == [ModelFailed, ModelFailed]


def test_a_model_that_fails_for_good_after_a_window_blames_none() -> None:
    """As a GPU does after an illegal access: what was decoded before is no proof."""

    class Dies(FakeEngine):
        is_dead = False

        def transcribe(self, windows: Sequence[Window]) -> list[Transcript | None]:
            self.is_dead |= windows[0].options.language == "bad"
            if self.is_dead:
                raise RuntimeError("dead")
            return super().transcribe(windows)

    assert transcribe(Dies(is_named_bad), "a", "bad") == ["a", ModelFailed]


@pytest.mark.parametrize(
    "fault",
    [
        MemoryError(),
        RuntimeError("CUDA failed with error out of memory"),
        RuntimeError("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED"),
    ],
)
def test_a_lack_of_memory_is_no_windows_fault(fault: Exception) -> None:
    assert transcribe(FakeEngine(is_named_bad, fault), "bad", "a") == [ModelFailed, "a"]


def test_an_engine_that_loses_answers_has_failed() -> None:
    class Forgetful(FakeEngine):
        def transcribe(self, windows: Sequence[Window]) -> list[Transcript | None]:
            return super().transcribe(windows)[1:]

    assert transcribe(Forgetful(is_named_bad), "a", "b") == [ModelFailed, ModelFailed]


def test_every_fault_is_told() -> None:
    told: list[str] = []

    isolation.transcribe(FakeEngine(is_named_bad), build_windows("a", "bad"), told.append)

    assert [line.split(":")[0] for line in told] == ["2 windows failed", *2 * ["1 windows failed"]]


def test_an_error_tells_a_client_no_more_than_the_kind_of_fault() -> None:
    engine = FakeEngine(is_named_bad, ValueError("/models/secret"))

    (error,) = isolation.transcribe(engine, build_windows("bad"), lambda _: None)

    assert isinstance(error, AsrError)
    assert str(error) == "the model fails on this window (ValueError)"
