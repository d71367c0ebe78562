"""The engine that tests choose when speech is not their point."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from asr import loading, selftest, stub
from asr.config import parse_config
from asr.engine import Transcript, Window
from asr.options import Options
from asr.stub import StubEngine


def make_window(level: int, *, is_cancelled: bool = False, prompt: str = "") -> Window:
    options = Options(prompt=prompt)
    return Window(np.full(16_000, level, np.int16), options, lambda: is_cancelled)


def transcribe(engine: StubEngine, *windows: Window) -> list[str]:
    return [found.text for found in engine.transcribe(windows) if found]


def test_it_is_chosen_by_its_setting_and_passes_the_self_test() -> None:
    engine = loading.load_engine(parse_config({}, {"PARLANCE_ASR_ENGINE": "stub"}))

    selftest.check(engine, {selftest.RELEASE_VARIABLE: "26.07"})
    assert (engine.name, engine.digest) == ("stub", "stub")


def test_the_same_samples_have_the_same_text_and_others_another() -> None:
    one, same, other = transcribe(StubEngine(0), make_window(1), make_window(1), make_window(2))

    assert one == same != other
    assert "stub" in one


def test_a_cancelled_window_has_no_text_and_counts_for_nothing() -> None:
    started = time.monotonic()

    answers = StubEngine(60).transcribe([make_window(1, is_cancelled=True)])

    assert answers == [None]
    assert time.monotonic() - started < 30


def test_a_batch_takes_its_time_once() -> None:
    started = time.monotonic()

    answers = StubEngine(0.2).transcribe([make_window(1), make_window(2)])

    assert [type(answer) for answer in answers] == [Transcript, Transcript]
    assert [answer.batch for answer in answers if answer] == [2, 2]
    assert time.monotonic() - started >= 0.2


def test_a_window_can_order_its_batch_to_fail() -> None:
    with pytest.raises(RuntimeError):
        StubEngine(0).transcribe([make_window(1), make_window(2, prompt="fail")])


def test_a_window_can_hold_its_batch_and_whoever_is_cancelled_meanwhile_has_no_text(
    tmp_path: Path,
) -> None:
    is_cancelled = threading.Event()
    windows = [
        make_window(1, prompt=f"hold {tmp_path}"),
        Window(np.zeros(1600, np.int16), Options(), is_cancelled.is_set),
    ]

    def cancel_once_held() -> None:
        while not (tmp_path / stub.HELD).exists():
            time.sleep(0.001)
        is_cancelled.set()
        (tmp_path / stub.GO).touch()

    threading.Thread(target=cancel_once_held).start()

    held, cancelled = StubEngine(0).transcribe(windows)
    assert held is not None
    assert held.batch == 1
    assert cancelled is None
