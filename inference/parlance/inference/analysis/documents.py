"""What analysers read: a document of units of text, such as the segments of a call.

A kind of work builds its own (`calls.documents`); it is sent to the analysis process batch by batch
(`isolation.frames`) and never changed. Lighter than the contract values: a day of talk must fit in
little memory.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from parlance.contracts.calls import Role
from parlance.inference.analysis import spans, text


class Unit(NamedTuple):
    """One stretch of text by one author: a segment of a call, a message of a conversation.

    Times are seconds since the document begins. In a document without time (`Document.is_timed`)
    they are all 0.0, and only the order of the units counts.
    """

    id: str
    speaker: str
    role: Role
    start: float
    end: float
    text: str
    word_times: tuple[tuple[float, float], ...] = ()
    """(start, end) of every part between spaces; empty where they are not known."""
    full_text: str = ""
    """What people see, where `text` has spaces in place of some of it (a quoted reply); otherwise
    empty. Of the same length as `text`."""
    written_at: float | None = None
    """Seconds since 1970, of a written message whose time is known."""

    def locate(self, begin: int, end: int) -> tuple[float, float]:
        """When text[begin:end] was said: by word times if known, else by share of characters."""
        chunks = text.split_chunks(self.text) if self.word_times else []
        if chunks and len(chunks) == len(self.word_times):
            first = max(0, bisect.bisect_right(chunks, (begin, len(self.text))) - 1)
            last = max(first, bisect.bisect_left(chunks, (end, 0)) - 1)
            return self.word_times[first][0], self.word_times[last][1]
        per_character = (self.end - self.start) / max(1, len(self.text))
        return self.start + begin * per_character, self.start + end * per_character


@dataclass(frozen=True, slots=True)
class Track:
    """When one speaker speaks: whole milliseconds, ascending, not touching each other."""

    speaker: str
    role: Role
    spans: spans.Spans


@dataclass(frozen=True, slots=True)
class Document:
    """Everything that analysers get to see."""

    units: Sequence[Unit]
    """In the order in which they are read."""
    language: str
    """BCP-47 tag; empty when it is not known."""
    duration_ms: int = 0
    """0 in a document without time."""
    tracks: tuple[Track, ...] = ()
    """Voice by speaker; none where nothing was spoken or nobody listened."""
    redact_pii: bool = False
    """Whether texts without personal data are wanted too."""

    @property
    def duration_seconds(self) -> float:
        return self.duration_ms / 1000

    @property
    def is_timed(self) -> bool:
        return self.duration_ms > 0 or bool(self.tracks)
