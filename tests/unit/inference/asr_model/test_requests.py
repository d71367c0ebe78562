"""What a request may say, and the JSON it gets back."""

import json
from typing import Any

import numpy as np
import pytest
from asr import options, results, windows
from asr.engine import Segment, Transcript, Word
from asr.errors import InvalidWindow
from asr.options import Options
from asr.results import Timing
from parlance.contracts.tensors import AsrOptions, AsrWindow


def parse(values: Any) -> Options:
    return options.parse_options(json.dumps(values).encode())


def test_nothing_said_means_the_defaults() -> None:
    assert options.parse_options(b"") == parse({}) == Options()


def test_everything_that_the_contract_can_say_is_understood() -> None:
    sent = AsrOptions(language="de", timestamps=False, words=True, beam=5, sent_unix_seconds=1.5)

    parsed = options.parse_options(sent.model_dump_json().encode())

    assert parsed == Options("de", timestamps=False, words=True, beam=5, sent_unix_seconds=1.5)


def test_the_contract_and_the_model_have_the_same_defaults() -> None:
    assert options.parse_options(AsrOptions().model_dump_json().encode()) == Options()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"beams": 2}', "unknown key 'beams'"),
        (b'{"beam": "2"}', "OPTIONS.beam has the wrong type: str"),
        (b'{"beam": true}', "OPTIONS.beam has the wrong type: bool"),
        (b'{"beam": 6}', "1 to 5, not 6"),
        (b'{"words": 1}', "OPTIONS.words has the wrong type: int"),
        (b"[" * 100_000, "not JSON"),
        (b'{"prompt": "\\ud800"}', "OPTIONS.prompt is not text"),
        (b'{"language": "\\udfff"}', "OPTIONS.language is not text"),
        (b'{"sent_unix_seconds": NaN}', "OPTIONS.sent_unix_seconds is not a time"),
        (b'{"sent_unix_seconds": 1e999}', "OPTIONS.sent_unix_seconds is not a time"),
        (b'{"sent_unix_seconds": 1' + b"0" * 400 + b"}", "OPTIONS.sent_unix_seconds is not a time"),
    ],
)
def test_a_wrong_option_is_refused_by_name(text: bytes, words: str) -> None:
    with pytest.raises(InvalidWindow, match=words):
        options.parse_options(text)


@pytest.mark.parametrize(("samples", "words"), [(0, "fewer"), (1599, "fewer"), (480_001, "more")])
def test_audio_of_the_wrong_length_is_refused(samples: int, words: str) -> None:
    with pytest.raises(InvalidWindow, match=f"{samples} samples, {words} than"):
        windows.check_audio(np.zeros((1, samples), np.int16))


def test_audio_is_copied_out_of_the_servers_memory() -> None:
    given = np.ones((1, 2000), np.int16)

    taken = windows.check_audio(given)
    given[:] = 0

    assert taken.shape == (2000,)
    assert taken.all()


def test_the_result_is_what_the_contract_reads() -> None:
    words = (Word("Hello", 0.0, 0.4, 0.9), Word("you.", 0.4, 0.8, 0.8))
    transcript = Transcript(
        segments=(Segment("Hello you.", 0.0, 0.8, (1, 2), words), Segment("Bye.", 1.0, 1.4, (3,))),
        avg_logprob=-0.25,
        no_speech_prob=0.01,
        temperature=0.0,
        language="en",
        batch=4,
    )

    text = results.format_result(transcript, Timing(10, 20), "whisper-tiny.en", "abc")

    window = AsrWindow.model_validate_json(text)
    assert window.text == "Hello you. Bye."
    assert [segment.end_seconds for segment in window.segments] == [0.8, 1.4]
    assert (window.queue_us, window.compute_us, window.batch) == (10, 20, 4)
    assert (window.model, window.model_hash, window.guard) == ("whisper-tiny.en", "abc", "ok")
    assert json.loads(text)["segments"][0]["words"][1]["text"] == "you."
