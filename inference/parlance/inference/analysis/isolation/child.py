"""The analysis process: reads documents from standard input, writes findings to standard output.

`python -m parlance.inference.analysis.isolation.child <profile> <memory MiB>`, started by `host`.
Pure Python that is busy for seconds would stop a worker's heartbeats, and text of strangers may
find an input that hangs a parser or eats memory; here it can be timed, bounded and killed.
"""

import gc
import os
import pkgutil
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from typing import BinaryIO

from parlance.contracts.analysis.insights import TrackerRules
from parlance.inference.analysis import profiles
from parlance.inference.analysis.analyzers.base import Analyzer
from parlance.inference.analysis.documents import Document, Track, Unit
from parlance.inference.analysis.isolation import frames, runner
from parlance.inference.analysis.isolation.frames import Frame, Kind, Order
from parlance.inference.analysis.isolation.runner import Began, Past
from parlance.inference.analysis.reports import Ended

Profile = Callable[[TrackerRules | None], tuple[Analyzer, ...]]

DEFAULT_PROFILE = "parlance.inference.analysis.profiles:build_lexical"


def main(arguments: Sequence[str]) -> None:
    """Serve until the worker closes the pipe."""
    profile_name, memory_mib = arguments
    limit_bytes = int(memory_mib) * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, limit_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Ctrl-C and the pod's end reach the whole group. The worker decides when this process ends:
    # it may still be finishing calls.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    reader, writer = _take_pipes()
    profile: Profile = pkgutil.resolve_name(profile_name)
    profiles.load(profile(None))
    gc.freeze()  # what is loaded stays; the collector need not walk over it for each document
    try:
        while (frame := _read(reader)) is not None:
            order = Order.model_validate_json(frame.payload)
            _serve(order, _read_units(reader), profile, writer)
    except BrokenPipeError:
        os._exit(0)  # the worker is gone; there is nobody to tell


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The two ends to talk through. A stray print goes to standard error from here on."""
    writer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return sys.stdin.buffer, writer


def _read(reader: BinaryIO) -> Frame | None:
    header = reader.read(frames.HEADER.size)
    if len(header) < frames.HEADER.size:
        return None
    kind, length = frames.parse_header(header)
    return Frame(kind, reader.read(length))


def _read_units(reader: BinaryIO) -> list[Unit]:
    units: list[Unit] = []
    while (frame := _read(reader)) is not None and frame.kind is Kind.UNITS:
        units.extend(frames.parse_units(frame.payload))
    return units


def _serve(order: Order, units: list[Unit], profile: Profile, writer: BinaryIO) -> None:
    document = Document(
        units=units,
        language=order.language,
        duration_ms=order.duration_ms,
        tracks=tuple(Track(track.speaker, track.role, track.spans) for track in order.tracks),
        redact_pii=order.redact_pii,
    )
    reports = runner.run_analyzers(
        document,
        profiles.list_for(document, profile(order.rules)),
        budget_seconds=order.budget_seconds,
        past=Past(order.done, order.failed),
    )
    if order.at_once:
        writer.write(frames.format_answer([one for one in reports if isinstance(one, Ended)]))
    else:
        for report in reports:
            _write(writer, report)
        writer.write(frames.format_frame(Kind.FINISHED))
    writer.flush()


def _write(writer: BinaryIO, report: Began | Ended) -> None:
    if isinstance(report, Began):
        note = frames.BeganNote(name=report.name, share_seconds=report.share_seconds)
        writer.write(frames.format_value(Kind.BEGAN, note))
        # With all that was written before it: who runs must be known while it runs, what has ended
        # may wait for the next to begin.
        writer.flush()
    else:
        if report.findings is not None:
            writer.writelines(frames.format_parts(report.findings))
        ended = frames.EndedNote(run=report.run, trace=report.trace)
        writer.write(frames.format_value(Kind.ENDED, ended))


if __name__ == "__main__":
    main(sys.argv[1:])
