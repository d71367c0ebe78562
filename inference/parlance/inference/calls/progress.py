"""How far a call is: kept while its windows are done, told by signs of life."""

from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus.calls import Progress, SegmentsReady
from parlance.contracts.calls import Stage
from parlance.inference.engine.waits import Awaited


class CallProgress:
    """Moves forward only, as the operator's does: after a reset it stays until the windows of the
    other model are further than those that were dropped."""

    def __init__(self) -> None:
        self._processed_seconds = 0.0
        self._total_seconds = 0.0
        self._is_transcribed = False

    def note_transcribed(self) -> None:
        """All of it: only analysis and storing are left."""
        self._is_transcribed = True

    def note_length(self, total_seconds: float) -> None:
        self._total_seconds = total_seconds

    def note_window(self, ready: SegmentsReady) -> None:
        """A window is done, by us or by an earlier run."""
        self._processed_seconds = max(self._processed_seconds, ready.processed_seconds)
        self._total_seconds = self._total_seconds or ready.total_seconds

    @property
    def stage(self) -> Stage:
        """What the call is at, and fails in if it fails now."""
        return Stage.INSIGHTS if self._is_transcribed else Stage.TRANSCRIBE

    def build_event(self, awaited: Awaited | None) -> Progress:
        done = self._is_transcribed
        processed_seconds = self._total_seconds if done else self._processed_seconds
        return Progress(
            percent=call_events.TRANSCRIBED_PERCENT
            if done
            else call_events.plan_percent(processed_seconds, self._total_seconds),
            stage=self.stage,
            processed_seconds=processed_seconds,
            total_seconds=self._total_seconds,
            waiting_for=awaited.reason if awaited else None,
            message=awaited.message if awaited else None,
        )
