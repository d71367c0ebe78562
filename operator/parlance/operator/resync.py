"""Lists beside the watch: the first one fills the cache, later ones check and heal it."""

import asyncio

import structlog
from parlance.contracts.crs import meta
from parlance.operator.cache import JobCache, parse_key, parse_version
from parlance.operator.freshness import Freshness
from parlance.operator.reconcile.apply import Applier
from parlance.operator.work_queue import Key, WorkQueue
from parlance.runtime.errors import KubeUnavailable
from parlance.runtime.kube import Kube

_log = structlog.get_logger(__name__)
_UNFINISHED = f"!{meta.TERMINAL_LABEL}"
_PAUSE_SECONDS = 1.0


class Resync:
    """One per process. `namespace` "" means all."""

    def __init__(
        self,
        *,
        kube: Kube,
        cache: JobCache,
        queue: WorkQueue,
        applier: Applier,
        freshness: Freshness,
        namespace: str,
        period_seconds: float,
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._queue = queue
        self._applier = applier
        self._freshness = freshness
        self._namespace = namespace
        self._period_seconds = period_seconds

    async def load(self) -> None:
        """Fill the cache; tries until the API server answers."""
        while not self._freshness.is_loaded:
            try:
                await self._load()
                self._freshness.is_loaded = True
            except KubeUnavailable as exc:
                _log.warning("cannot list CallJobs yet", problem=str(exc))
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _load(self) -> None:
        count = 0
        async for manifest in self._kube.iterate_calljobs(namespace=self._namespace):
            if self._cache.note(manifest):
                self._queue.add(parse_key(manifest))
            count += 1
        _log.info("loaded", calljobs=count)

    async def check_forever(self) -> None:
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(self._period_seconds)
            try:
                await self.check()
            except KubeUnavailable as exc:
                _log.warning("resync put off", problem=str(exc))

    async def check(self) -> None:
        """Compare with a list of the unfinished jobs, and read again what differs."""
        live_before = {key for key, _ in self._cache.iterate_live()}
        listed: set[Key] = set()
        async for manifest in self._kube.iterate_calljobs(
            label_selector=_UNFINISHED, namespace=self._namespace, is_metadata_only=True
        ):
            key, version = parse_key(manifest), parse_version(manifest)
            listed.add(key)
            if self._cache.version_of(key) < version:
                self._freshness.note_owed(key, version)
                await self._heal(key)
        for key in live_before - listed:
            await self._heal(key)

    async def _heal(self, key: Key) -> None:
        await self._applier.refresh(key)
        if self._cache.get(key) is None:
            self._freshness.note_gone(key)
        else:
            self._queue.add(key)
