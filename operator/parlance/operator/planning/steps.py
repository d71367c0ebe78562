"""What a plan is made of: values that `reconcile.apply` carries out in the order given."""

from dataclasses import dataclass

from parlance.contracts.bus.calls import CallDispatch
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.bus.jobs import ControlAction
from parlance.contracts.crs.v1alpha1.calljob import CallJobStatus


@dataclass(frozen=True, slots=True)
class Publish:
    """Store an event; the same id again is stored once."""

    event: Envelope


@dataclass(frozen=True, slots=True)
class SendDispatch:
    """Queue the job for workers; where it lies goes into `status.dispatch`."""

    message: CallDispatch


@dataclass(frozen=True, slots=True)
class DropMessage:
    """Take an earlier dispatch out of the queue; no matter whether it is still there."""

    sequence: int
    stream_created: str
    """Of the stream that it lies in: in another one the sequence belongs to another message."""


@dataclass(frozen=True, slots=True)
class PutNote:
    """Tell whoever works on the call."""

    action: ControlAction


@dataclass(frozen=True, slots=True)
class ClearNote:
    """Take the note back."""


Step = Publish | SendDispatch | DropMessage | PutNote | ClearNote


@dataclass(frozen=True, slots=True)
class Record:
    """A Kubernetes Event to post."""

    reason: str
    message: str
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """In this order: truth, finalizer, steps, status, release, removal, records.

    A crash between any two of them leaves a state from which the same plan is made again.
    """

    needs_truth: bool = False
    """Read the stream for this call first, then plan again: the decision would be final."""
    adds_finalizer: bool = False
    steps: tuple[Step, ...] = ()
    status: CallJobStatus | None = None
    """The whole new status; None leaves it alone."""
    releases: bool = False
    """Take our finalizer off and, if the job ended, put the terminal label on."""
    removes: bool = False
    """Delete the object: its time is over."""
    records: tuple[Record, ...] = ()
    deferred: tuple[Step, ...] = ()
    """Steps for when the bus is back; the object may be gone by then."""
    recheck_seconds: float | None = None
    """Look again that soon; None waits for the next event or tick."""


NOTHING = Plan()
