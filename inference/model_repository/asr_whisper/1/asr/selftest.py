"""Proof that this process can transcribe at all: at load time, and after a window failed."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from asr.engine import Engine, Window
from asr.errors import UnusableModel
from asr.mel import SAMPLE_RATE_HZ
from asr.options import Options

TONE_HZ = 440
# Older servers' Python backend sends empty tensors with numpy 2, without any error, and nothing
# inside this process shows it. The vendor's images name their release in the environment.
FIRST_RELEASE_WITH_NUMPY_2 = "24.11"
RELEASE_VARIABLE = "NVIDIA_TRITON_SERVER_VERSION"


def check(engine: Engine, environ: Mapping[str, str]) -> None:
    """Raise UnusableModel where the runtime is wrong or a decode does not work.

    It warms the model up as well: the first decode of a process is slower.
    """
    check_numpy(np.__version__, environ.get(RELEASE_VARIABLE, ""))
    results = engine.transcribe([Window(_build_tone(), Options())])
    if len(results) != 1 or results[0] is None:
        raise UnusableModel("the self-test's tone came back without a result")


def can_decode(engine: Engine) -> bool:
    """Whether the model still gives a result for a sound that it has decoded before."""
    try:
        return engine.transcribe([Window(_build_tone(), Options())])[0] is not None
    except Exception:  # noqa: BLE001 - the answer is no, whatever it raises
        return False


def check_numpy(version: str, release: str) -> None:
    """Raise UnusableModel for a numpy that this server's release cannot send results with."""
    if int(version.split(".")[0]) >= 2 and release < FIRST_RELEASE_WITH_NUMPY_2:
        raise UnusableModel(
            f"numpy {version} with a Triton release before {FIRST_RELEASE_WITH_NUMPY_2} gives "
            "empty results; install numpy < 2"
        )


def _build_tone(seconds: int = 1) -> NDArray[np.int16]:
    times = np.arange(seconds * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    return (np.sin(2 * np.pi * TONE_HZ * times) * 3000).astype(np.int16)
