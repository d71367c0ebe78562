"""Voice activity: the probability of speech in each 32 ms, by the silero v6 model.

One session serves all calls of the worker; what must be remembered between two runs is in a
`VadState` per channel.
"""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
from parlance.inference.audio.channels import Samples

FRAME_SAMPLES = 512
"""32 ms at 16 kHz."""
_CONTEXT_SAMPLES = 64
"""The model sees the end of the frame before."""
_STATE_SHAPE = (1, 1, 128)
_CARRIER_PACKAGE = "faster_whisper"
_MODEL_FILE = Path("assets") / "silero_vad_v6.onnx"

Floats = npt.NDArray[np.float32]


@dataclasses.dataclass(slots=True)
class VadState:
    """Memory of one channel: the LSTM's state and the last samples."""

    hidden: Floats = dataclasses.field(default_factory=lambda: np.zeros(_STATE_SHAPE, np.float32))
    cell: Floats = dataclasses.field(default_factory=lambda: np.zeros(_STATE_SHAPE, np.float32))
    context: Floats = dataclasses.field(
        default_factory=lambda: np.zeros(_CONTEXT_SAMPLES, np.float32)
    )


class VadModel:
    """Thread-safe; the runtime lets go of the interpreter lock while it computes."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        # One thread: the cores are shared with the decoder, the speech model and other calls.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # it would keep the largest batch for ever
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def run(self, samples: Samples, state: VadState) -> Floats:
        """Probabilities, one per frame, of the next whole frames of a channel; updates `state`.

        Many frames at once are much faster than one by one and give the same numbers: the
        encoder works on each alone, the LSTM goes through them in order.
        """
        frames = (samples.astype(np.float32) / 32768.0).reshape(-1, FRAME_SAMPLES)
        batch = np.empty((len(frames), _CONTEXT_SAMPLES + FRAME_SAMPLES), np.float32)
        batch[:, _CONTEXT_SAMPLES:] = frames
        batch[0, :_CONTEXT_SAMPLES] = state.context
        batch[1:, :_CONTEXT_SAMPLES] = frames[:-1, -_CONTEXT_SAMPLES:]
        inputs = {"input": batch, "h": state.hidden, "c": state.cell}
        probabilities, hidden, cell = self._session.run(None, inputs)
        state.hidden, state.cell = np.asarray(hidden), np.asarray(cell)
        state.context = frames[-1, -_CONTEXT_SAMPLES:].copy()
        return np.asarray(probabilities, np.float32).reshape(-1)


def open_model(path: Path | None = None) -> VadModel:
    """Load the model; without a path, the file inside the faster-whisper package."""
    return VadModel(path or find_model())


def find_model() -> Path:
    """The model file, found without importing the package that carries it (it is slow to load)."""
    spec = importlib.util.find_spec(_CARRIER_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"{_MODEL_FILE.name}: package {_CARRIER_PACKAGE} is not installed")
    path = Path(spec.submodule_search_locations[0]) / _MODEL_FILE
    if not path.is_file():
        raise FileNotFoundError(path)
    return path
