"""Details in the ids of the events of a run, by which a later run tells what became of it.

    <run>                 that the work has begun, or was handed back
    worker.<run>.<n>      a sign of life
    doubt.<run>.<n>       a sign of a run that holds the message and has not begun the work

A run has the number of the delivery that it began with. Formatted by `reporter` and `runner`,
parsed by `history`.
"""

import re

from parlance.contracts.bus import subjects
from parlance.contracts.bus.envelopes import Envelope

WORKER = "worker"
DOUBT = "doubt"
_BEGUN = re.compile(rf"(?:{WORKER}\.(?P<sign>\d+)\.\d+|(?P<run>\d+))")


def format_run(run: int) -> str:
    return str(run)


def format_sign(label: str, run: int, number: int) -> str:
    return f"{label}.{run}.{number}"


def parse_run(event: Envelope) -> int | None:
    """The run that says by this event that it began the work; None where the id names none."""
    before = subjects.format_event_id(event.subject, event.attempt, event.token) + "."
    if not event.id.startswith(before):
        return None
    found = _BEGUN.fullmatch(event.id, len(before))
    return int(found["sign"] or found["run"]) if found else None


def is_doubt(event: Envelope) -> bool:
    """Whether a worker only says that it holds the work and has not begun it."""
    return f".{DOUBT}." in event.id
