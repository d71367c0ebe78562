"""Metrics of the worker. Each is moved where the thing it counts happens."""

from prometheus_client import Counter, Gauge, Histogram

CALLS = Counter("parlance_worker_calls_total", "Messages worked on, by how they ended.", ["ending"])
RUNNING = Gauge("parlance_worker_calls_running", "Calls in work.")
REDELIVERIES = Counter(
    "parlance_worker_redeliveries_total", "Messages that came a second time or later."
)
ADOPTIONS = Counter(
    "parlance_worker_adoptions_total", "Messages that came for a call already in work here."
)
REUSED_WINDOWS = Counter(
    "parlance_worker_reused_windows_total", "Windows taken from an earlier run's events."
)
RETRIES = Counter(
    "parlance_worker_retries_total", "Tries that failed for now, by what was away.", ["what"]
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
LOOP_LAG_SECONDS = Gauge(
    "parlance_worker_loop_lag_seconds", "How late the event loop's last tick came."
)
FAULTS = Counter(
    "parlance_worker_faults_total", "Errors nobody foresaw, by where they surfaced.", ["where"]
)
