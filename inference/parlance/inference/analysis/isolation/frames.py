"""What worker and analysis process say to each other, in frames too small to hold up a loop.

A frame: one byte kind, four bytes length (big endian), JSON.

    worker -> child                              child -> worker
    o  open: everything but the words            b  an analyser began
    u  a batch of units                          p  part of its findings
    r  run                                       e  it ended
                                                 z  all ended
                                                 a  all of these in one, if the order says so

Formatters and parsers of all kinds live here; `child` and `host` move the bytes.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from parlance.contracts.analysis.insights import AnalyzerRun, Insights, TrackerRules
from parlance.contracts.calls import Role
from parlance.contracts.values import Value
from parlance.inference.analysis.analyzers.base import Findings
from parlance.inference.analysis.documents import Unit
from parlance.inference.analysis.reports import Ended

HEADER = struct.Struct(">cI")
MAX_FRAME_BYTES = 64 * 2**20
"""More is no frame but a broken stream."""
UNITS_PER_FRAME = 200
_REQUIRED_FIELDS = len(Unit._fields) - len(Unit._field_defaults)
_DEFAULTS = tuple(Unit._field_defaults.get(name) for name in Unit._fields)
_ROLES = {role.value: role for role in Role}
"""Looked up for each unit: to call the enumeration takes several times as long."""
_NO_SUBJECT = {"attempt": 0}
"""Required fields of `Insights` that a part leaves empty: the worker knows whose they are."""
_ITEMS_PER_PART = 500
_RESULTS_PER_PART = 10
"""Of lists: one tracker alone may bring 200 hits."""


class Kind(StrEnum):
    OPEN = "o"
    UNITS = "u"
    RUN = "r"
    BEGAN = "b"
    PART = "p"
    ENDED = "e"
    FINISHED = "z"
    ANSWER = "a"


class BrokenStream(Exception):
    """The other side sent what is no frame."""


class Frame(NamedTuple):
    kind: Kind
    payload: bytes


class VoiceTrack(Value):
    """A `documents.Track`."""

    speaker: str
    role: Role
    spans: tuple[tuple[int, int], ...]


class Order(Value):
    """`OPEN`: the document without its units, and what to do with it."""

    language: str
    duration_ms: int = 0
    tracks: tuple[VoiceTrack, ...] = ()
    redact_pii: bool = False
    rules: TrackerRules | None = None
    budget_seconds: float
    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    at_once: bool = False
    """Answer with one `ANSWER`, which takes half the work of notes and parts. Nobody learns which
    analyser was running if the process is lost."""


class BeganNote(Value):
    """`BEGAN`: the worker allows the analyser this long, and a little."""

    name: str
    share_seconds: float


class EndedNote(Value):
    """`ENDED`."""

    run: AnalyzerRun
    trace: str = ""


class Answer(Value):
    """`ANSWER`."""

    ended: tuple[EndedNote, ...]
    insights: Insights
    """Sparse, as in a part."""

    @property
    def fields(self) -> dict[str, object]:
        """Of `Insights`, what was found."""
        names = self.insights.model_fields_set - set(_NO_SUBJECT)
        return {name: getattr(self.insights, name) for name in names}


def format_frame(kind: Kind, payload: bytes = b"{}") -> bytes:
    return HEADER.pack(kind.value.encode(), len(payload)) + payload


def parse_header(header: bytes | bytearray) -> tuple[Kind, int]:
    """(kind, bytes that follow). Raises BrokenStream."""
    letter, length = HEADER.unpack(header)
    try:
        kind = Kind(letter.decode("ascii", "replace"))
    except ValueError as exc:
        raise BrokenStream(f"unknown frame {letter!r}") from exc
    if length > MAX_FRAME_BYTES:
        raise BrokenStream(f"a frame of {length} bytes")
    return kind, length


def parse_frame(data: bytes | bytearray) -> tuple[Frame | None, int]:
    """The frame at the beginning, if it is there whole, and its length. Raises BrokenStream."""
    if len(data) < HEADER.size:
        return None, 0
    kind, length = parse_header(data[: HEADER.size])
    end = HEADER.size + length
    return (Frame(kind, bytes(data[HEADER.size : end])), end) if len(data) >= end else (None, 0)


def format_value(kind: Kind, value: Value) -> bytes:
    return format_frame(kind, value.model_dump_json(exclude_none=True).encode())


def format_units(units: Sequence[Unit]) -> bytes:
    """Fields at the end that have their default are left out: most units have only the first."""
    rows = [_trim(unit) for unit in units]
    return format_frame(Kind.UNITS, json.dumps(rows, ensure_ascii=False).encode())


def _trim(unit: Unit) -> tuple[object, ...]:
    count = len(unit)
    while count > _REQUIRED_FIELDS and unit[count - 1] == _DEFAULTS[count - 1]:
        count -= 1
    return unit[:count]


def parse_units(payload: bytes) -> list[Unit]:
    return [
        Unit(
            id_,
            speaker,
            _ROLES[role],
            start,
            end,
            text,
            tuple((a, b) for a, b in rest[0]) if rest else (),
            *rest[1:],
        )
        for id_, speaker, role, start, end, text, *rest in json.loads(payload)
    ]


def format_parts(findings: Findings) -> Iterator[bytes]:
    """The findings as sparse `Insights`, long ones in several parts. See `merge_part`."""
    for name in type(findings).model_fields:
        for piece in _cut(getattr(findings, name)):
            part = Insights.model_validate(_NO_SUBJECT | {name: piece})
            yield format_frame(Kind.PART, part.model_dump_json(exclude_unset=True).encode())


def _cut(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        items = iter(value.items())
        while piece := dict(islice(items, _ITEMS_PER_PART)):
            yield piece
    elif isinstance(value, tuple):
        for first in range(0, len(value), _RESULTS_PER_PART):
            yield value[first : first + _RESULTS_PER_PART]
    else:
        yield value


def format_answer(reports: Sequence[Ended]) -> bytes:
    fields: dict[str, object] = dict(_NO_SUBJECT)
    for report in reports:
        if report.findings is not None:
            fields |= dict(report.findings)
    answer = Answer(
        ended=tuple(EndedNote(run=report.run, trace=report.trace) for report in reports),
        insights=Insights.model_validate(fields),
    )
    return format_frame(Kind.ANSWER, answer.model_dump_json(exclude_unset=True).encode())


def merge_part(fields: dict[str, object], payload: bytes) -> None:
    """Add one part to the fields of `Insights` gathered so far: lists and mappings grow."""
    part = Insights.model_validate_json(payload)
    for name in part.model_fields_set - set(_NO_SUBJECT):
        fields[name] = _joined(fields.get(name), getattr(part, name))


def _joined(old: object, new: object) -> object:
    if isinstance(old, dict) and isinstance(new, dict):
        old.update(new)
        return old
    if isinstance(old, tuple) and isinstance(new, tuple):
        return old + new
    return new
