"""Puts the worker together: the only place that opens its adapters. Called by `__main__`."""

from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from parlance.inference.analysis import pipeline
from parlance.inference.asr import canary, client
from parlance.inference.asr.canary import ModelHealth
from parlance.inference.audio import vad
from parlance.inference.audio.front_end import FrontEndOptions
from parlance.inference.calls.fetching import UriFetcher
from parlance.inference.calls.kind import CallKind
from parlance.inference.calls.recording import RecordingOpener
from parlance.inference.calls.task import Tools
from parlance.inference.engine.gate import Gate
from parlance.inference.engine.loop import WorkerLoop
from parlance.inference.engine.patience import Patience
from parlance.inference.settings import AsrSettings, WorkerSettings
from parlance.media import decoders as decoders_module
from parlance.media.decoders import Decoders
from parlance.media.limits import MediaLimits
from parlance.runtime import bus, cores, fetch, store, telemetry
from parlance.runtime.addresses import parse_allow_list
from parlance.runtime.bus import Bus
from parlance.runtime.clock import SystemClock
from parlance.runtime.process import Process
from parlance.runtime.settings import (
    BusSettings,
    MediaSettings,
    StoreSettings,
    TelemetrySettings,
)

_log = structlog.get_logger(__name__)

_READ_PATIENCE_SECONDS = 40.0
"""Below the 60 s that a decoder may be without bytes."""
_FETCH_SECONDS = 900.0
_MODEL_FRESH_SECONDS = 15.0
_CANARY_TIMEOUT_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything `__main__` reads from the environment."""

    telemetry: TelemetrySettings
    bus: BusSettings
    store: StoreSettings
    media: MediaSettings
    asr: AsrSettings
    worker: WorkerSettings


async def run_worker(settings: Settings, process: Process) -> None:
    """Work until the process is asked to stop."""
    async with open_tools(settings) as (tools, model_health, decoders):
        name = f"worker {settings.worker.worker_name}"
        async with bus.open_bus(settings.bus, client_name=name) as events:
            loop = _build_loop(settings.worker, events, tools, decoders)
            live, ready = _build_checks(loop, events, model_health, decoders)
            async with telemetry.serve_health(
                settings.telemetry, live=live, ready=ready
            ) as endpoint:
                _log.info("worker started", host=endpoint.host, port=endpoint.port)
                await loop.run(process.stopping, drain_seconds=settings.worker.worker_drain_seconds)


def _build_loop(
    settings: WorkerSettings, events: Bus, tools: Tools, decoders: Decoders
) -> WorkerLoop:
    clock = SystemClock()
    patience = Patience(clock, deadline_seconds=settings.worker_patience_seconds)
    calls = CallKind(tools, find_problem=lambda: decoders.problem)
    return WorkerLoop(events, [calls], clock, patience, slots=settings.worker_slots)


@asynccontextmanager
async def open_tools(settings: Settings) -> AsyncIterator[tuple[Tools, ModelHealth, Decoders]]:
    """What all calls share."""
    worker = settings.worker
    windows = FrontEndOptions.for_windows(worker.worker_window_seconds)
    limits = fetch.FetchPolicy(
        max_bytes=worker.max_upload_bytes,
        allow=parse_allow_list(worker.fetch_allowed_hosts),
        total_seconds=_FETCH_SECONDS,
    )
    async with (
        store.open_store(settings.store) as objects,
        client.open_triton(settings.asr, front_end=windows.fingerprint) as transcriber,
        pipeline.open_analyst() as analyst,
        decoders_module.open_decoders(settings.media) as decoders,
    ):
        with ThreadPoolExecutor(cores.count_cores(), thread_name_prefix="vad") as executor:
            tools = Tools(
                name=worker.worker_name,
                store=objects,
                fetcher=UriFetcher(objects, fetch.Fetcher(limits)),
                transcriber=transcriber,
                open_windows=RecordingOpener(
                    vad.open_model(), executor, MediaLimits(), decoders, windows
                ),
                analyze=analyst.analyze,
                read_patience=Patience(SystemClock(), deadline_seconds=_READ_PATIENCE_SECONDS),
                gate=Gate(worker.worker_windows),
                windows_per_call=worker.worker_windows_per_call,
            )
            health = canary.ModelHealth(
                transcriber,
                fresh_seconds=_MODEL_FRESH_SECONDS,
                timeout_seconds=_CANARY_TIMEOUT_SECONDS,
            )
            yield tools, health, decoders


def _build_checks(
    loop: WorkerLoop, events: Bus, model: ModelHealth, decoders: Decoders
) -> tuple[telemetry.HealthCheck, telemetry.HealthCheck]:
    """Live: the loop turns (a blocked one cannot even answer). Ready: there is a bus to take work
    from, a model that works and a decoder that may read audio."""

    async def live() -> Mapping[str, str]:
        return _problems(loop=loop.find_problem())

    async def ready() -> Mapping[str, str]:
        connection = None if events.is_connected else "not connected"
        return _problems(bus=connection, model=await model.find_problem(), decoder=decoders.problem)

    return live, ready


def _problems(**parts: str | None) -> dict[str, str]:
    return {part: problem for part, problem in parts.items() if problem is not None}
