"""The seam between the worker and any speech model. `asr.client` is the one for Triton."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from parlance.contracts.calls import ModelInfo, Priority
from parlance.contracts.tensors import AsrOptions, AsrWindow


@dataclass(frozen=True, slots=True)
class WindowRequest:
    """One window of speech to transcribe."""

    pcm: NDArray[np.int16]
    """int16, shape (samples,), mono, 16 kHz, at most 30 s."""
    options: AsrOptions
    priority: Priority
    request_id: str
    """Shows up in the model server's log and trace."""


class Transcriber(Protocol):
    """A speech model somewhere."""

    async def identify(self) -> ModelInfo:
        """Which model answers now. Raises AsrUnavailable."""
        ...

    async def transcribe(self, request: WindowRequest) -> AsrWindow:
        """One try, no retries. Raises AsrUnavailable or AsrRejected."""
        ...
