"""Transcripts as files: times, speakers, and text that cannot break the format."""

from typing import Any

import pytest
from parlance.api.domain.calls import exports
from parlance.api.domain.calls.exports import Format
from parlance.contracts.calls import Role, Segment


def segment(text: str = "Hi.", start: float = 0.0, **changes: Any) -> Segment:
    values: dict[str, object] = {
        "id": "0-0",
        "channel": 0,
        "speaker": "speaker_0",
        "start_seconds": start,
        "end_seconds": start + 1,
        "text": text,
    }
    return Segment.model_validate(values | changes)


@pytest.mark.parametrize(
    ("seconds", "srt", "vtt"),
    [
        (0.0, "00:00:00,000", "00:00:00.000"),
        (59.9996, "00:01:00,000", "00:01:00.000"),
        (3661.5, "01:01:01,500", "01:01:01.500"),
        (36_000.001, "10:00:00,001", "10:00:00.001"),
    ],
)
def test_times_are_rounded_to_milliseconds_and_carried_over(
    seconds: float, srt: str, vtt: str
) -> None:
    spoken = [segment(start=seconds)]

    assert f"\n{srt} --> " in exports.format_transcript(spoken, Format.SRT)
    assert f"\n{vtt} --> " in exports.format_transcript(spoken, Format.VTT)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"role": Role.AGENT}, "Agent"),
        ({"role": Role.CUSTOMER}, "Customer"),
        ({"speaker": "speaker_1"}, "Speaker 2"),
        ({"speaker": "someone"}, "someone"),
    ],
)
def test_a_speaker_is_named_by_role_or_number(changes: dict[str, Any], name: str) -> None:
    assert exports.format_speaker(segment(**changes)) == name


@pytest.mark.parametrize("kind", [Format.SRT, Format.VTT, Format.TXT])
def test_line_breaks_in_a_text_do_not_end_its_cue(kind: Format) -> None:
    text = exports.format_transcript([segment("one\n\ntwo\r\n-->")], kind)

    assert "one two" in text


def test_markup_in_a_text_is_only_text() -> None:
    text = exports.format_transcript([segment("<c>&nbsp;</c> -->")], Format.VTT)

    assert "&lt;c&gt;&amp;nbsp;&lt;/c&gt; --&gt;" in text


@pytest.mark.parametrize(
    ("kind", "text"), [(Format.TXT, ""), (Format.SRT, ""), (Format.VTT, "WEBVTT\n\n")]
)
def test_a_silent_call_is_an_empty_file(kind: Format, text: str) -> None:
    assert exports.format_transcript([], kind) == text


def test_cues_are_counted_from_one_and_parted_by_an_empty_line() -> None:
    text = exports.format_transcript([segment("a"), segment("b", 1.0)], Format.SRT)

    assert text.split("\n\n") == [
        "1\n00:00:00,000 --> 00:00:01,000\nSpeaker 1: a",
        "2\n00:00:01,000 --> 00:00:02,000\nSpeaker 1: b\n",
    ]
