"""Metric objects of the operator. Each is moved where the thing happens."""

from prometheus_client import Counter, Gauge, Histogram

KIND = "CallJob"

JOBS = Gauge("parlance_operator_jobs", "Custom resources by phase.", ["kind", "phase"])
QUEUE_DEPTH = Gauge("parlance_operator_queue_depth", "Keys that wait for a reconciler.")
QUEUE_WAIT_SECONDS = Histogram(
    "parlance_operator_queue_wait_seconds", "From a key's due time to its reconcile."
)
RECONCILE_SECONDS = Histogram("parlance_operator_reconcile_seconds", "One reconcile.")
RECONCILE_ERRORS = Counter(
    "parlance_operator_reconcile_errors", "Reconciles that are tried again.", ["reason"]
)
JOB_QUEUE_SECONDS = Histogram(
    "parlance_operator_job_queue_seconds",
    "From the first dispatch to a worker's start.",
    buckets=(0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400),
)
JOB_EXECUTION_SECONDS = Histogram(
    "parlance_operator_job_execution_seconds",
    "From a worker's start to the end of the job.",
    ["phase"],
    buckets=(0.5, 1, 2, 5, 15, 60, 300, 900, 3600, 14400),
)
ATTEMPTS = Counter("parlance_operator_attempts", "Dispatches by what led to them.", ["reason"])
STATUS_PATCHES = Counter("parlance_operator_status_patches", "Writes of status.", ["outcome"])
WATCH_LAG_SECONDS = Gauge(
    "parlance_operator_watch_lag_seconds", "How long the watch owes a change that a list showed."
)
WATCH_EVENTS = Counter("parlance_operator_watch_events", "Watch events taken in.")
EVENTS_FOLDED = Counter("parlance_operator_events_folded", "Bus events of calls.", ["type"])
GC_BACKLOG = Gauge("parlance_operator_gc_backlog", "Finished jobs whose time is over.")
RECORDS_DROPPED = Counter("parlance_operator_records_dropped", "Kubernetes Events not posted.")
