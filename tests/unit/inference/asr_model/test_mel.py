"""The spectrogram against the reference extractor that Whisper's users agree on."""

import numpy as np
import pytest
from asr import mel
from faster_whisper.feature_extractor import FeatureExtractor

RNG = np.random.default_rng(7)


def make_pcm(seconds: float) -> np.ndarray:
    """A gliding tone in noise: energy in all bands."""
    times = np.arange(int(seconds * mel.SAMPLE_RATE_HZ)) / mel.SAMPLE_RATE_HZ
    glide = np.sin(2 * np.pi * (100 + 120 * times) * times) * 8000
    return (glide + RNG.normal(0, 200, len(times))).astype(np.int16)


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize(
    ("seconds", "frames"), [(0.3, 1500), (14.2, 1500), (29.0, 3000), (30, 3000)]
)
def test_equals_the_reference_extractor(mels: int, seconds: float, frames: int) -> None:
    pcm = make_pcm(seconds)
    padded = np.zeros(frames * mel.HOP_SAMPLES, np.float32)
    padded[: len(pcm)] = pcm / 32768
    reference = FeatureExtractor(feature_size=mels)(padded, padding=0)[:, :frames]

    features = mel.MelExtractor(mels).extract(pcm, frames)

    assert features.dtype == np.float32
    assert features.shape == (mels, frames)
    np.testing.assert_allclose(features, reference, atol=1e-4)


def test_digital_silence_has_the_lowest_value_everywhere() -> None:
    features = mel.MelExtractor(80).extract(np.zeros(16_000, np.int16), 1500)

    np.testing.assert_allclose(features, -1.5, atol=1e-6)


def test_audio_beyond_the_frames_is_cut_off() -> None:
    extractor = mel.MelExtractor(80)
    pcm = make_pcm(16)

    features = extractor.extract(pcm, 1500)

    assert features.shape == (80, 1500)
