"""What earlier runs of the same work published, as far as it is alike for every kind.

Read once at the start, so that nothing is done twice. The events are the checkpoint; what a kind of
work can reuse of them it picks up itself (`Task.recall`).
"""

from collections.abc import Callable

import structlog
from parlance.contracts.bus import subjects
from parlance.contracts.bus.envelopes import Envelope, parse_data
from parlance.contracts.bus.jobs import Dispatch
from parlance.contracts.bus.kinds import KindEvents, Retrying
from parlance.inference.engine import metrics
from parlance.inference.engine.ports import StoredEvent, WorkBus
from parlance.inference.engine.signs import is_doubt
from pydantic import ValidationError

_log = structlog.get_logger(__name__)


class History:
    """Whether the work is done, and how many of its runs were lost."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self.finished_attempt = 0
        """Highest attempt that reached its end; 0 for none."""
        self.handed_over = 0
        """Deliveries of the current message to runs that ended in order, by handing it back."""
        self.last_sequence = 0
        """Place of the newest event but for those of workers in doubt about the work."""
        self._skipped = 0

    def is_settled(self) -> bool:
        """Whether the dispatch asks for something that has come to its end already."""
        return self.finished_attempt >= self._dispatch.attempt

    def count_lost_runs(self, earlier_deliveries: int) -> int:
        """Runs of the current message that vanished: killed, or too long silent."""
        return max(earlier_deliveries - self.handed_over, 0)

    async def read(
        self, bus: WorkBus, events: KindEvents, recall: Callable[[Envelope], None]
    ) -> None:
        """Replay what is stored about the work; `recall` gets every event that this version knows.
        Raises BusUnavailable."""
        dispatch = self._dispatch
        filter_subject = subjects.format_events_of(
            dispatch.company, dispatch.kind, dispatch.subject_id
        )
        async for stored in bus.read_events(filter_subject):
            self._take(stored, events, recall)

    def _take(
        self, stored: StoredEvent, events: KindEvents, recall: Callable[[Envelope], None]
    ) -> None:
        event = stored.envelope
        if not is_doubt(event):
            self.last_sequence = stored.sequence
        step = events.find_step(event.type)
        if step is None:
            return
        if step.ends_run:
            self.finished_attempt = max(self.finished_attempt, event.attempt)
        try:
            if events.data_of[event.type] is Retrying:
                self._take_handover(event, parse_data(event, Retrying))
            recall(event)
        except ValidationError as exc:
            self._skip(event, exc)

    def _take_handover(self, event: Envelope, retrying: Retrying) -> None:
        # The operator's own events of this type name a later attempt: there a run was lost.
        if retrying.next_attempt == event.attempt == self._dispatch.attempt:
            self.handed_over += retrying.deliveries

    def _skip(self, event: Envelope, cause: ValidationError) -> None:
        """An event of another version of the contract. Without it something may be done twice,
        which is harmless; to stop here would stop the work for good. Logged once per reading."""
        metrics.SKIPPED_EVENTS.inc()
        self._skipped += 1
        if self._skipped == 1:
            _log.error("unreadable event", id=event.id, type=event.type, problem=str(cause)[:300])
