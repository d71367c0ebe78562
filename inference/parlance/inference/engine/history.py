"""What earlier runs of the same work published, as far as it is alike for every kind.

Read once at the start, so that nothing is done twice. The events are the checkpoint; what a kind of
work can reuse of them it picks up itself (`Task.recall`).
"""

from collections.abc import Callable

from parlance.contracts.bus import subjects
from parlance.contracts.bus.envelopes import Envelope, parse_data
from parlance.contracts.bus.jobs import Dispatch
from parlance.contracts.bus.kinds import KindEvents, Retrying
from parlance.contracts.lifecycle import Step
from parlance.inference.engine.ports import StoredEvent, WorkBus
from parlance.inference.engine.signs import is_doubt


class History:
    """Whether the work is done, and how many of its runs were lost."""

    def __init__(self, attempt: int) -> None:
        self._attempt = attempt
        self.finished_attempt = 0
        """Highest attempt that reached its end; 0 for none."""
        self.handed_over = 0
        """Deliveries of the current message to runs that ended in order, by handing it back."""
        self.last_sequence = 0
        """Place of the newest event but for those of workers in doubt about the work."""

    def is_settled(self) -> bool:
        """Whether the attempt asks for something that has come to its end already."""
        return self.finished_attempt >= self._attempt

    def count_lost_runs(self, earlier_deliveries: int) -> int:
        """Runs of the current message that vanished: killed, or too long silent."""
        return max(earlier_deliveries - self.handed_over, 0)

    def take(self, stored: StoredEvent, step: Step) -> None:
        event = stored.envelope
        if not is_doubt(event):
            self.last_sequence = stored.sequence
        if step.ends_run:
            self.finished_attempt = max(self.finished_attempt, event.attempt)

    def take_handover(self, event: Envelope) -> None:
        retrying = parse_data(event, Retrying)
        # The operator's own events of this type name a later attempt: there a run was lost.
        if retrying.next_attempt == event.attempt == self._attempt:
            self.handed_over += retrying.deliveries


async def read_history(
    bus: WorkBus,
    dispatch: Dispatch,
    events: KindEvents,
    recall: Callable[[Envelope], None],
) -> History:
    """Replay what is stored about the work; `recall` gets every event. Raises BusUnavailable."""
    history = History(dispatch.attempt)
    filter_subject = subjects.format_events_of(dispatch.company, dispatch.kind, dispatch.subject_id)
    async for stored in bus.read_events(filter_subject):
        history.take(stored, events.step_of[stored.envelope.type])
        if events.data_of[stored.envelope.type] is Retrying:
            history.take_handover(stored.envelope)
        recall(stored.envelope)
    return history
