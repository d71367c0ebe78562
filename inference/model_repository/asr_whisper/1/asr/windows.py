"""Checks of the AUDIO tensor."""

import numpy as np
from numpy.typing import NDArray

from asr.errors import InvalidWindow
from asr.mel import SAMPLE_RATE_HZ

MIN_SAMPLES = SAMPLE_RATE_HZ // 10
MAX_SAMPLES = 30 * SAMPLE_RATE_HZ


def check_audio(audio: NDArray[np.int16]) -> NDArray[np.int16]:
    """Copy the samples of one request out of Triton's memory; raise where they cannot be used."""
    samples = audio.size
    if samples < MIN_SAMPLES:
        raise InvalidWindow(f"AUDIO has {samples} samples, fewer than {MIN_SAMPLES} (0.1 s)")
    if samples > MAX_SAMPLES:
        raise InvalidWindow(f"AUDIO has {samples} samples, more than {MAX_SAMPLES} (30 s)")
    return audio.reshape(-1).copy()
