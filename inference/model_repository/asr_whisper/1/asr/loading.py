"""Which engine answers: the one place that knows all of them. Called by model.py at load."""

from asr.config import STUB, Config
from asr.engine import Engine
from asr.stub import StubEngine
from asr.whisper import WhisperEngine


def load_engine(config: Config) -> Engine:
    """The engine of the settings, ready to transcribe."""
    return StubEngine(config.stub_seconds) if config.engine == STUB else WhisperEngine(config)
