"""What calls need: the speech model, decoders, voice detection, and a way to fetch addresses."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from parlance.inference.asr import canary, client
from parlance.inference.audio import vad
from parlance.inference.audio.front_end import FrontEndOptions
from parlance.inference.calls.fetching import UriFetcher
from parlance.inference.calls.kind import CallKind
from parlance.inference.calls.recording import RecordingOpener
from parlance.inference.calls.task import Tools
from parlance.inference.engine.gate import Gate
from parlance.inference.engine.patience import Patience
from parlance.inference.wiring.work import Problems, Shared, Work
from parlance.media import decoders as decoders_module
from parlance.media.limits import MediaLimits
from parlance.runtime import cores, fetch
from parlance.runtime.addresses import parse_allow_list
from parlance.runtime.clock import SystemClock

_READ_PATIENCE_SECONDS = 40.0
"""Below the 60 s that a decoder may be without bytes."""
_FETCH_SECONDS = 900.0
_MODEL_FRESH_SECONDS = 15.0
_CANARY_TIMEOUT_SECONDS = 4.0


@asynccontextmanager
async def open_work(shared: Shared) -> AsyncIterator[Work]:
    """What all calls share is closed with the context."""
    settings, worker = shared.settings, shared.settings.worker
    windows = FrontEndOptions.for_windows(worker.worker_window_seconds)
    limits = fetch.FetchPolicy(
        max_bytes=worker.max_upload_bytes,
        allow=parse_allow_list(worker.fetch_allowed_hosts),
        total_seconds=_FETCH_SECONDS,
    )
    async with (
        client.open_triton(settings.asr, front_end=windows.fingerprint) as transcriber,
        decoders_module.open_decoders(settings.media) as decoders,
    ):
        with ThreadPoolExecutor(cores.count_cores(), thread_name_prefix="vad") as executor:
            tools = Tools(
                name=worker.worker_name,
                store=shared.store,
                fetcher=UriFetcher(shared.store, fetch.Fetcher(limits)),
                transcriber=transcriber,
                open_windows=RecordingOpener(
                    vad.open_model(), executor, MediaLimits(), decoders, windows
                ),
                analyze=shared.analyst.analyze,
                read_patience=Patience(SystemClock(), deadline_seconds=_READ_PATIENCE_SECONDS),
                gate=Gate(worker.worker_windows),
                windows_per_call=worker.worker_windows_per_call,
            )
            health = canary.ModelHealth(
                transcriber,
                fresh_seconds=_MODEL_FRESH_SECONDS,
                timeout_seconds=_CANARY_TIMEOUT_SECONDS,
            )

            async def find_problems() -> Problems:
                """A model that works and a decoder that may read audio."""
                return {"model": await health.find_problem(), "decoder": decoders.problem}

            calls = CallKind(tools, find_problem=lambda: decoders.problem)
            yield Work(calls, worker.worker_slots, find_problems)
