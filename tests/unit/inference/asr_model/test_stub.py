"""The engine that tests choose when speech is not their point."""

import time

import numpy as np
from asr import loading, selftest
from asr.config import parse_config
from asr.engine import Transcript, Window
from asr.options import Options
from asr.stub import StubEngine


def make_window(level: int, *, is_cancelled: bool = False) -> Window:
    return Window(np.full(16_000, level, np.int16), Options(), lambda: is_cancelled)


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
