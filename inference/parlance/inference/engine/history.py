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
from parlance.inference.engine import details, metrics
from parlance.inference.engine.ports import StoredEvent, WorkBus
from pydantic import ValidationError

_log = structlog.get_logger(__name__)


class History:
    """Whether the work is done, and how many of its runs were lost."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self.finished_attempt = 0
        """Highest attempt that reached its end; 0 for none."""
        self._begun: set[int] = set()
        """Runs of the dispatched attempt that said that they began the work."""
        self._handed_back: set[int] = set()
        """Those of them that ended in order, by handing the message back."""
        self._deliveries_handed_back = 0
        """Deliveries of the current message to such runs."""
        self.last_sequence = 0
        """Place of the newest event but for those of workers in doubt about the work."""
        self._skipped = 0

    def is_settled(self) -> bool:
        """Whether the dispatch asks for something that has come to its end already."""
        return self.finished_attempt >= self._dispatch.attempt

    def count_lost_runs(self, earlier_deliveries: int) -> int:
        """Runs of the current message that began the work and vanished: killed, or too long silent.

        Deliveries that no run took (given back by a worker that shuts down, or dropped with a
        connection) left no event and are not among them. After the stream was lost the deliveries
        of its new message are counted anew, while the events of runs before that stay: there are
        no more lost runs than earlier deliveries."""
        return min(len(self._begun - self._handed_back), earlier_deliveries)

    def count_open_deliveries(self, earlier_deliveries: int) -> int:
        """Deliveries of the current message that were not handed back in order. So many runs were
        lost at most, counting those that ended before they could say anything."""
        return max(earlier_deliveries - self._deliveries_handed_back, 0)

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
        if not details.is_doubt(event):
            self.last_sequence = stored.sequence
        step = events.find_step(event.type)
        if step is None:
            return
        run = details.parse_run(event)
        if run is not None and event.attempt == self._dispatch.attempt:
            self._begun.add(run)
        if step.ends_run:
            self.finished_attempt = max(self.finished_attempt, event.attempt)
        try:
            if events.data_of[event.type] is Retrying:
                self._take_handover(event, parse_data(event, Retrying), run)
            recall(event)
        except ValidationError as exc:
            self._skip(event, exc)

    def _take_handover(self, event: Envelope, retrying: Retrying, run: int | None) -> None:
        # The operator's own events of this type name a later attempt: there a run was lost.
        if retrying.next_attempt == event.attempt == self._dispatch.attempt:
            self._deliveries_handed_back += retrying.deliveries
            if run is not None:
                self._handed_back.add(run)

    def _skip(self, event: Envelope, cause: ValidationError) -> None:
        """An event of another version of the contract. Without it something may be done twice,
        which is harmless; to stop here would stop the work for good. Logged once per reading."""
        metrics.SKIPPED_EVENTS.inc()
        self._skipped += 1
        if self._skipped == 1:
            _log.error("unreadable event", id=event.id, type=event.type, problem=str(cause)[:300])
