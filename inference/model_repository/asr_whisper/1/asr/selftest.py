"""Proof at load time that this process can transcribe at all."""

import numpy as np

from asr.engine import Engine, Window
from asr.errors import UnusableModel
from asr.mel import SAMPLE_RATE_HZ
from asr.options import Options

TONE_HZ = 440


def check(engine: Engine) -> None:
    """Raise UnusableModel where the runtime is wrong or a decode does not work.

    It warms the model up as well: the first decode of a process is slower.
    """
    if int(np.__version__.split(".")[0]) >= 2:
        # Triton 2.51's Python stub returns empty tensors with numpy 2, without any error.
        raise UnusableModel(f"numpy {np.__version__} is installed; this server needs numpy < 2")
    results = engine.transcribe([Window(_build_tone(), Options(language="en"))])
    if len(results) != 1 or results[0] is None:
        raise UnusableModel("the self-test's tone came back without a result")


def _build_tone(seconds: int = 1) -> np.ndarray:
    times = np.arange(seconds * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    return (np.sin(2 * np.pi * TONE_HZ * times) * 3000).astype(np.int16)
