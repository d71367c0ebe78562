"""Metrics of the engine. Each is moved where the thing it counts happens."""

from prometheus_client import Counter, Gauge

RUNS = Counter("parlance_worker_calls_total", "Messages worked on, by how they ended.", ["ending"])
RUNNING = Gauge("parlance_worker_calls_running", "Messages in work.")
REDELIVERIES = Counter(
    "parlance_worker_redeliveries_total", "Messages that came a second time or later."
)
ADOPTIONS = Counter(
    "parlance_worker_adoptions_total", "Messages that came for work that runs here already."
)
SKIPPED_EVENTS = Counter(
    "parlance_worker_skipped_events_total",
    "Events of earlier runs that do not fit the contract of this version.",
)
RETRIES = Counter(
    "parlance_worker_retries_total", "Tries that failed for now, by what was away.", ["what"]
)
LOOP_LAG_SECONDS = Gauge(
    "parlance_worker_loop_lag_seconds", "How late the event loop's last tick came."
)
FAULTS = Counter(
    "parlance_worker_faults_total", "Errors nobody foresaw, by where they surfaced.", ["where"]
)
