"""The real silero model: state across runs, speech and what is not."""

import subprocess
import sys

import numpy as np
import pytest
from parlance.inference.audio import vad
from parlance.inference.audio.channels import Samples


@pytest.fixture(scope="module")
def model() -> vad.VadModel:
    return vad.open_model()


def build_voice(seconds: float) -> Samples:
    """Something like a vowel that comes and goes: a pulse train with three formants."""
    time = np.arange(round(seconds * 16_000)) / 16_000
    pitch_hz = 120 + 20 * np.sin(2 * np.pi * 0.7 * time)
    phase = np.cumsum(pitch_hz) / 16_000
    voice = sum(np.sin(2 * np.pi * n * phase) * _formant(n * 120.0) for n in range(1, 25))
    syllables = np.clip(np.sin(2 * np.pi * 3.5 * time) * 2, 0, 1)
    sound = voice * syllables
    return np.asarray(sound / np.abs(sound).max() * 12_000, np.int16)


def _formant(hz: float) -> float:
    return float(sum(np.exp(-(((hz - center) / 150) ** 2)) for center in (700, 1220, 2600)))


def run_in_blocks(model: vad.VadModel, samples: Samples, frames: int) -> list[float]:
    state, probabilities = vad.VadState(), []
    size = frames * vad.FRAME_SAMPLES
    for start in range(0, len(samples), size):
        probabilities += model.run(samples[start : start + size], state).tolist()
    return probabilities


@pytest.mark.parametrize("frames", [1, 7, 64, 256])
def test_probabilities_do_not_depend_on_the_frames_per_run(
    model: vad.VadModel, frames: int
) -> None:
    voice = build_voice(8.192 * 2)

    assert run_in_blocks(model, voice, frames) == run_in_blocks(model, voice, 512)


def test_silence_is_not_speech(model: vad.VadModel) -> None:
    silence = np.zeros(256 * vad.FRAME_SAMPLES, np.int16)

    assert model.run(silence, vad.VadState()).max() < 0.1


def test_noise_is_not_speech(model: vad.VadModel) -> None:
    noise = np.random.default_rng(3).normal(0, 1_000, 256 * vad.FRAME_SAMPLES).astype(np.int16)

    assert np.mean(model.run(noise, vad.VadState()) > 0.5) < 0.05


def test_a_tone_is_not_speech(model: vad.VadModel) -> None:
    time = np.arange(256 * vad.FRAME_SAMPLES) / 16_000
    tone = np.asarray(8_000 * np.sin(2 * np.pi * 440 * time), np.int16)

    assert np.mean(model.run(tone, vad.VadState()) > 0.5) < 0.2


def test_a_voice_is_speech(model: vad.VadModel) -> None:
    probabilities = run_in_blocks(model, build_voice(8.192), 256)

    assert max(probabilities) > 0.5


def test_the_model_is_found_without_loading_the_package_that_carries_it() -> None:
    program = (
        "import sys; from parlance.inference.audio import vad; print(vad.find_model());"
        "assert 'faster_whisper' not in sys.modules"
    )

    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert result.stdout.strip().endswith("silero_vad_v6.onnx")
