"""What earlier runs of a call published, so that no window is transcribed twice.

A window counts as done when its event names the model that would do it now. Filled by
`CallTask.recall`, before the model is asked who it is.
"""

from collections.abc import Mapping

from parlance.contracts.bus.calls import SegmentsReady, Started, Transcribed


class CallPast:
    """The past of one call, as its events tell it."""

    def __init__(self) -> None:
        self.object_key: str | None = None
        """Where an earlier run found or put the audio."""
        self._windows: dict[str, dict[int, SegmentsReady]] = {}
        """Finished windows by number, by the hash of their model."""
        self._transcribed: dict[str, Transcribed] = {}
        """Stored transcripts by the hash of their model."""

    def take_started(self, started: Started) -> None:
        self.object_key = started.object_key

    def take_window(self, done: SegmentsReady) -> None:
        self._windows.setdefault(done.model_hash, {})[done.window] = done

    def take_transcribed(self, transcribed: Transcribed) -> None:
        self._transcribed[transcribed.model.hash] = transcribed

    def windows_of(self, model_hash: str) -> Mapping[int, SegmentsReady]:
        """Finished windows of a model, by number."""
        return self._windows.get(model_hash, {})

    def find_transcribed(self, model_hash: str) -> Transcribed | None:
        """The stored transcript of a model, if a run got that far."""
        return self._transcribed.get(model_hash)
