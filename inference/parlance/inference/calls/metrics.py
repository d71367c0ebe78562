"""Metrics of calls in work. Each is moved where the thing it counts happens."""

from prometheus_client import Counter, Histogram

REUSED_WINDOWS = Counter(
    "parlance_worker_reused_windows_total", "Windows taken from an earlier run's events."
)
STAGE_SECONDS = Histogram(
    "parlance_worker_stage_seconds",
    "Time a call spent in a stage.",
    ["stage"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200),
)
FIRST_SEGMENT_SECONDS = Histogram(
    "parlance_worker_first_segment_seconds",
    "From taking the message to the first segment on the bus.",
    buckets=(0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60),
)
AUDIO_SECONDS = Counter("parlance_worker_audio_seconds_total", "Seconds of calls transcribed.")
