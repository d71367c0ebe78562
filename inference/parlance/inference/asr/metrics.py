"""What the speech model did, as metrics. Moved by `asr.client` only."""

from parlance.contracts import tensors
from parlance.contracts.tensors import AsrWindow
from parlance.inference.asr.transcriber import WindowRequest
from prometheus_client import Counter, Histogram

WINDOWS = Counter(
    "parlance_asr_windows_total", "Windows transcribed, by what the guards said.", ["guard"]
)
AUDIO_SECONDS = Counter("parlance_asr_audio_seconds_total", "Seconds of windows transcribed.")
LATENCY_SECONDS = Histogram(
    "parlance_asr_window_seconds",
    "From sending a window to its result, queue included.",
    buckets=(0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64),
)
QUEUE_SECONDS = Histogram(
    "parlance_asr_queue_seconds",
    "Time a window waited in the model server's queue.",
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 2, 4, 8, 16, 32),
)
BATCH = Histogram(
    "parlance_asr_batch_windows",
    "Windows decoded together with one window.",
    buckets=(1, 2, 4, 8, 16, 32),
)


def observe_window(request: WindowRequest, result: AsrWindow, seconds: float) -> None:
    WINDOWS.labels(result.guard).inc()
    AUDIO_SECONDS.inc(request.pcm.size / tensors.SAMPLE_RATE_HZ)
    LATENCY_SECONDS.observe(seconds)
    QUEUE_SECONDS.observe(result.queue_us / 1e6)
    BATCH.observe(result.batch)
