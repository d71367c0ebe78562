"""A transcript as a file for people and players: plain text, SubRip, WebVTT."""

import html
from collections.abc import Iterable, Sequence
from enum import StrEnum

from parlance.contracts.calls import Role, Segment


class Format(StrEnum):
    """Value of `?format=`."""

    JSON = "json"
    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"

    @property
    def media_type(self) -> str:
        return _MEDIA_TYPES[self]


_MEDIA_TYPES = {
    Format.JSON: "application/json",
    # The framework says of every text that it is in UTF-8, and of nothing else.
    Format.TXT: "text/plain",
    Format.SRT: "application/x-subrip; charset=utf-8",
    Format.VTT: "text/vtt",
}


def format_transcript(segments: Sequence[Segment], kind: Format) -> str:
    """The segments, ordered by start, in one of the text formats."""
    match kind:
        case Format.SRT:
            return "\n".join(_format_srt_cue(n, item) for n, item in enumerate(segments, 1))
        case Format.VTT:
            return "WEBVTT\n\n" + "\n".join(_format_vtt_cue(item) for item in segments)
        case _:
            return "".join(_format_lines(segments))


def format_speaker(segment: Segment) -> str:
    """The role where it is known, else the speaker's number as people count."""
    if segment.role is not Role.UNKNOWN:
        return segment.role.value.capitalize()
    number = segment.speaker.rpartition("_")[2]
    return f"Speaker {int(number) + 1}" if number.isdecimal() else segment.speaker


def _format_lines(segments: Iterable[Segment]) -> Iterable[str]:
    for segment in segments:
        stamp = _format_time(segment.start_seconds, ".").rpartition(".")[0]
        yield f"[{stamp}] {format_speaker(segment)}: {_on_one_line(segment.text)}\n"


def _format_srt_cue(number: int, segment: Segment) -> str:
    start = _format_time(segment.start_seconds, ",")
    end = _format_time(segment.end_seconds, ",")
    text = f"{format_speaker(segment)}: {_on_one_line(segment.text)}"
    return f"{number}\n{start} --> {end}\n{text}\n"


def _format_vtt_cue(segment: Segment) -> str:
    start = _format_time(segment.start_seconds, ".")
    end = _format_time(segment.end_seconds, ".")
    # In WebVTT text is markup: what was said must not become a tag.
    text = html.escape(_on_one_line(segment.text), quote=False)
    return f"{start} --> {end}\n<v {format_speaker(segment)}>{text}\n"


def _on_one_line(text: str) -> str:
    """An empty line would end a cue."""
    return " ".join(text.split())


def _format_time(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}{point}{milliseconds % 1000:03}"
