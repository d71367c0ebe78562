"""Sounds and models for the front end's tests. Times are exact, so that windows can be expected."""

import numpy as np
import numpy.typing as npt
from parlance.inference.audio import vad
from parlance.inference.audio.channels import SAMPLE_RATE_HZ, Samples


class LoudnessModel(vad.VadModel):
    """Says "speech" where it is loud: spans come out exactly where the test put the sound."""

    def __init__(self) -> None:
        pass

    def run(self, samples: Samples, state: vad.VadState) -> npt.NDArray[np.float32]:
        frames = samples.astype(np.float32).reshape(-1, vad.FRAME_SAMPLES)
        return np.asarray(np.abs(frames).max(axis=1) > 500, np.float32)


def build_call(*speech: tuple[float, float], seconds: float, level: int = 5_000) -> Samples:
    """Silence with noise of this level from a to b, for each (a, b)."""
    noise = np.random.default_rng(7).integers(-level, level, round(seconds * SAMPLE_RATE_HZ))
    is_speech = np.zeros(len(noise), bool)
    for start, end in speech:
        is_speech[round(start * SAMPLE_RATE_HZ) : round(end * SAMPLE_RATE_HZ)] = True
    return np.where(is_speech, noise, 0).astype(np.int16)


def interleave(*channels: Samples) -> bytes:
    return np.stack(channels, axis=1).astype("<i2").tobytes()
