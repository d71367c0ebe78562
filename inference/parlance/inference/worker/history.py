"""What earlier runs of a call published: read once at the start, so that no work is done twice.

The events are the checkpoint. A window counts as done when its event names the model that would
do it now.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from parlance.contracts.bus import subjects
from parlance.contracts.bus.calls import (
    CallDispatch,
    EventType,
    Retrying,
    SegmentsReady,
    Started,
    Transcribed,
)
from parlance.contracts.bus.envelopes import Envelope, parse_data
from parlance.contracts.bus.subjects import Kind
from parlance.inference.worker.ports import CallBus, StoredEvent
from parlance.inference.worker.reporter import is_doubt


@dataclass
class History:
    """The past of one call, as its events tell it."""

    finished_attempt: int = 0
    """Highest attempt that reached its end; 0 for none."""
    handed_over: int = 0
    """Deliveries of the current message to runs that ended in order, by handing it back."""
    last_sequence: int = 0
    """Place of the newest event but for those of workers in doubt about the call."""
    windows: dict[int, SegmentsReady] = field(default_factory=dict)
    """Finished windows of the current model, by number."""
    object_key: str | None = None
    """Where an earlier run found or put the audio."""
    transcribed: Transcribed | None = None
    """The stored transcript of the current model, if a run got that far."""

    def is_settled(self, dispatch: CallDispatch) -> bool:
        """Whether this dispatch asks for something that has come to its end already."""
        return self.finished_attempt >= dispatch.attempt

    def count_lost_runs(self, earlier_deliveries: int) -> int:
        """Runs of the current message that vanished: killed, or too long silent."""
        return max(earlier_deliveries - self.handed_over, 0)


async def read_history(bus: CallBus, dispatch: CallDispatch, model_hash: str) -> History:
    """Replay what is stored about the call. Raises BusUnavailable."""
    filter_subject = subjects.format_events_of(dispatch.company, Kind.CALL, dispatch.call_id)
    return await fold_events(bus.read_events(filter_subject), dispatch.attempt, model_hash)


async def fold_events(events: AsyncIterator[StoredEvent], attempt: int, model_hash: str) -> History:
    history = History()
    async for event in events:
        if not is_doubt(event.envelope):
            history.last_sequence = event.sequence
        _fold(history, event.envelope, attempt, model_hash)
    return history


def _fold(history: History, envelope: Envelope, attempt: int, model_hash: str) -> None:
    if EventType(envelope.type).step.ends_run:
        history.finished_attempt = max(history.finished_attempt, envelope.attempt)
    elif envelope.type == EventType.STARTED:
        history.object_key = parse_data(envelope, Started).object_key
    elif envelope.type == EventType.SEGMENT:
        done = parse_data(envelope, SegmentsReady)
        if done.model_hash == model_hash:
            history.windows[done.window] = done
    elif envelope.type == EventType.TRANSCRIBED:
        transcribed = parse_data(envelope, Transcribed)
        if transcribed.model.hash == model_hash:
            history.transcribed = transcribed
    elif envelope.type == EventType.RETRYING:
        retrying = parse_data(envelope, Retrying)
        # The operator's own events of this type name a later attempt: there a run was lost.
        if retrying.next_attempt == envelope.attempt == attempt:
            history.handed_over += retrying.deliveries
