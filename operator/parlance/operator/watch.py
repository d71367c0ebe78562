"""kopf watches for us: it lists, streams, reconnects and follows the credentials.

Its handlers with their annotations, finalizers and retries are not used: one low-level handler
notes each object in the cache and queues its key (docs/decisions/0006).
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any, cast

import kopf
import structlog
from parlance.contracts.crs import meta
from parlance.contracts.crs.v1alpha1 import calljob
from parlance.operator import metrics
from parlance.operator.cache import JobCache, parse_key, parse_version
from parlance.operator.freshness import Freshness
from parlance.operator.work_queue import WorkQueue
from parlance.runtime.errors import KubeUnavailable
from parlance.runtime.kube import Manifest, load_connection
from parlance.runtime.process import Process
from parlance.runtime.settings import KubeSettings

_log = structlog.get_logger(__name__)

_INACTIVITY_SECONDS = 70
"""The API server sends a bookmark every 60 s: a stream that is silent for longer is dead."""
_LINGER_SECONDS = 0.5
"""How long kopf keeps a task per object after its last event; each costs memory."""
_EXIT_SECONDS = 10


class Watcher:
    """Takes in watch events."""

    def __init__(self, *, cache: JobCache, queue: WorkQueue, freshness: Freshness) -> None:
        self._cache = cache
        self._queue = queue
        self._freshness = freshness

    def take_in(self, type_: str | None, manifest: Manifest) -> None:
        """`type_` is ADDED, MODIFIED, DELETED, or None for what the first list brought."""
        key, version = parse_key(manifest), parse_version(manifest)
        metrics.WATCH_EVENTS.inc()
        self._freshness.note_watched(key, version)
        if type_ == "DELETED":
            if self._cache.version_of(key) <= version:
                self._cache.forget(key)
            self._freshness.note_gone(key)
        elif self._cache.note(manifest):
            self._queue.add(key)


def build_registry(watcher: Watcher, settings: KubeSettings) -> kopf.OperatorRegistry:
    """The one handler, and the log-in with the same credentials as our own client's."""
    registry = kopf.OperatorRegistry()

    @kopf.on.event(meta.GROUP, meta.VERSION, calljob.PLURAL, registry=registry)
    async def note(event: kopf.RawEvent, **_: Any) -> None:
        watcher.take_in(event["type"], cast(Manifest, event["object"]))

    @kopf.on.login(registry=registry)
    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        try:
            connection = await load_connection(settings)
        except KubeUnavailable as exc:
            raise kopf.LoginError(str(exc)) from exc
        return kopf.ConnectionInfo(
            server=connection.server,
            ca_path=connection.ca_path,
            insecure=connection.is_insecure,
            scheme="Bearer" if connection.token else None,
            token=connection.token,
            certificate_path=connection.certificate_path,
            private_key_path=connection.private_key_path,
            trust_env=connection.is_proxied,
        )

    return registry


def build_settings(kube: KubeSettings) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False  # we post the few Events that mean something ourselves
    settings.posting.loggers = False
    settings.scanning.disabled = True  # needs no rights on namespaces and CRDs
    settings.peering.standalone = True  # a second operator is harmless, so nobody has to pause
    settings.watching.inactivity_timeout = _INACTIVITY_SECONDS
    settings.watching.reconnect_backoff = 1.0
    settings.watching.chunk_size = 500
    settings.queueing.idle_timeout = _LINGER_SECONDS
    settings.networking.request_timeout = kube.kube_timeout_seconds
    settings.networking.connect_timeout = min(10.0, kube.kube_timeout_seconds)
    settings.process.ultimate_exiting_timeout = _EXIT_SECONDS
    settings.persistence.finalizer = f"{meta.GROUP}/kopf"  # never used; never somebody else's
    settings.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=meta.GROUP)
    settings.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=meta.GROUP)
    return settings


@contextlib.asynccontextmanager
async def open_watch(
    watcher: Watcher,
    freshness: Freshness,
    process: Process,
    settings: KubeSettings,
    *,
    is_clusterwide: bool,
) -> AsyncIterator[None]:
    """kopf runs while the context is open; when it ends by itself, so does the process.

    Open it before everything else that makes tasks: at its end kopf cancels every task that was
    made after its start.
    """
    logging.getLogger("kopf").setLevel(logging.WARNING)
    stop = asyncio.Event()
    ready = asyncio.Event()
    existing = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=build_registry(watcher, settings),
        settings=build_settings(settings),
        standalone=True,
        clusterwide=is_clusterwide,
        namespaces=[] if is_clusterwide else [settings.namespace],
        stop_flag=stop,
        ready_flag=ready,
    )
    process.take_signals()  # kopf has put its own handlers in place of ours
    running = asyncio.create_task(kopf.run_tasks(tasks, ignored=existing), name="kopf")
    running.add_done_callback(lambda _: _on_end(freshness, process))
    freshness.is_watching = True
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait([running])


def _on_end(freshness: Freshness, process: Process) -> None:
    freshness.is_watching = False
    if not process.stopping.is_set():
        _log.error("kopf has ended by itself")
        process.stop(exit_code=1)
