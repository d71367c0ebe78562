"""How long a call spends in each stage, for `call.analyzed` and for metrics. Used by `task`."""

import time

from parlance.inference.calls import metrics


class StageTimer:
    """Adds the time of a block to a stage."""

    def __init__(self, timings: dict[str, float], stage: str) -> None:
        self._timings = timings
        self._stage = stage

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        seconds = time.perf_counter() - self._started
        self._timings[self._stage] = self._timings.get(self._stage, 0.0) + seconds
        metrics.STAGE_SECONDS.labels(self._stage).observe(seconds)
