"""What earlier runs of a call published, so that no window is transcribed twice.

A window counts as done when its event names the model that would do it now, and clients have not
been told to drop it since (`call.reset`). Filled by `CallTask.recall`, before the model is asked
who it is.
"""

from collections.abc import Mapping

from parlance.contracts.bus.calls import Reset, SegmentsReady, Started, Transcribed
from parlance.contracts.calls import ModelInfo

MODEL_CHANGED = "ModelChanged"
"""The reason of a reset: another model, or windows that are cut otherwise."""


class CallPast:
    """The past of one call, as its events tell it."""

    def __init__(self) -> None:
        self.object_key: str | None = None
        """Where an earlier run found or put the audio."""
        self.resets = 0
        """How often the call began anew; part of the ids of its windows."""
        self._awaited_hash: str | None = None
        """Of the only model that clients take segments from, since the last reset."""
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

    def take_reset(self, reset: Reset) -> None:
        self.resets += 1
        self._awaited_hash = reset.model_hash
        self._windows.clear()
        self._transcribed.clear()

    def plan_reset(self, model: ModelInfo) -> Reset | None:
        """What clients must be told before this model says anything; None when what they have is
        its own."""
        if self._awaited_hash is not None:
            is_needed = self._awaited_hash != model.hash
        else:
            is_needed = any(hash_ != model.hash for hash_ in self._windows)
        if not is_needed:
            return None
        message = "Transcribed anew: the speech model, or how the audio is cut, has changed."
        return Reset(reason=MODEL_CHANGED, message=message, model_hash=model.hash)

    def windows_of(self, model: ModelInfo) -> Mapping[int, SegmentsReady]:
        """Finished windows of a model, by number."""
        return self._windows.get(model.hash, {})

    def find_transcribed(self, model: ModelInfo) -> Transcribed | None:
        """The stored transcript of a model, if a run got that far."""
        return self._transcribed.get(model.hash)
