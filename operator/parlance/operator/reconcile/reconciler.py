"""The loop: take a key, observe, plan, apply, and decide when to look again."""

from datetime import datetime

import structlog
from parlance.contracts.crs.v1alpha1.calljob import CallJob
from parlance.operator import metrics
from parlance.operator.bus_state import BusState
from parlance.operator.cache import FinishedJob, JobCache, LiveJob
from parlance.operator.planning import conditions, plan, showing
from parlance.operator.planning.observed import Limits, Observed
from parlance.operator.planning.steps import Plan, Record
from parlance.operator.reconcile import observe
from parlance.operator.reconcile.apply import Applier, Stale, Target
from parlance.operator.recording import EventRecorder
from parlance.operator.work_queue import Key, WorkQueue
from parlance.runtime.bus import Bus
from parlance.runtime.clock import Clock
from parlance.runtime.errors import BusUnavailable, KubeRejected, KubeUnavailable, RuntimeFault

_log = structlog.get_logger(__name__)

_OUTAGE_SECONDS = 10.0
"""How long the bus must be away before jobs say so; a restart of NATS takes about three."""


class Reconciler:
    """Several of its loops run at once; the queue keeps them off the same key."""

    def __init__(
        self,
        *,
        queue: WorkQueue,
        cache: JobCache,
        bus: Bus,
        bus_state: BusState,
        applier: Applier,
        recorder: EventRecorder,
        limits: Limits,
        clock: Clock,
    ) -> None:
        self._queue = queue
        self._cache = cache
        self._bus = bus
        self._bus_state = bus_state
        self._applier = applier
        self._recorder = recorder
        self._limits = limits
        self._clock = clock
        self._started_at = clock.now()

    async def work(self) -> None:
        """Runs until the queue is closed."""
        while (key := await self._queue.take()) is not None:
            try:
                with metrics.RECONCILE_SECONDS.time():
                    await self._try(key)
            finally:
                self._queue.done(key)

    async def _try(self, key: Key) -> None:
        """One reconcile, and what its failure means for the next one."""
        try:
            await self.reconcile(key)
        except Stale:
            metrics.RECONCILE_ERRORS.labels("Stale").inc()
            self._queue.add(key)
        except (BusUnavailable, KubeUnavailable) as exc:
            self._come_back(key, exc, exc.delay_seconds)
            if isinstance(exc, BusUnavailable):
                await self._bear_outage(key)
        except RuntimeFault as exc:
            self._come_back(key, exc, 0.0)
            _log.error("reconcile refused", key=key, problem=str(exc))
        except Exception as exc:  # noqa: BLE001 - one bad job must not end the loop for all
            self._come_back(key, exc, 0.0)
            _log.exception("reconcile failed", key=key)
        else:
            self._queue.forget(key)

    def _come_back(self, key: Key, problem: Exception, delay_seconds: float) -> None:
        metrics.RECONCILE_ERRORS.labels(type(problem).__name__).inc()
        pause_seconds = self._queue.retry(key, delay_seconds)
        _log.debug("reconcile again", key=key, problem=str(problem), pause_seconds=pause_seconds)

    async def reconcile(self, key: Key) -> None:
        """Bring one job closer to what it should be."""
        entry = self._cache.get(key)
        if entry is None:
            return
        if isinstance(entry, FinishedJob):
            await self._remove_expired(key, entry)
            return
        target = Target(key, entry.job, entry.version)
        decided = await self._decide(entry, target.job)
        stored = await self._applier.apply(target, decided)
        if stored is not None and stored.is_repeat:
            entry.was_sent_before = True
            self._queue.add(key)
        await self._ack_verdicts(entry)
        self._cache.shrink(key)
        if decided.recheck_seconds is not None:
            self._queue.add_later(key, decided.recheck_seconds)

    async def _decide(self, live: LiveJob, job: CallJob) -> Plan:
        observed = self._observe(live)
        decided = plan.plan(job, observed)
        if not decided.needs_truth:
            return decided
        if observed.bus_created is None:
            raise BusUnavailable("no answer from JetStream")
        truth = await observe.read_truth(self._bus, job, observed)
        if live.facts is not observed.facts:
            # The follower has folded something meanwhile that our reading may have missed.
            raise Stale
        live.facts = truth.facts
        return plan.plan(job, truth)

    def _observe(self, live: LiveJob) -> Observed:
        return Observed(
            now=self._now(),
            facts=live.facts,
            bus_created=self._bus_state.created,
            bus_back_at=self._bus_state.back_at,
            is_doubtful=self._is_doubtful(live),
            limits=self._limits,
        )

    def _is_doubtful(self, live: LiveJob) -> bool:
        if live.facts.checked_at is not None:
            return False
        dispatch = live.job.status.dispatch
        sent_at = dispatch.time if dispatch else None
        return live.was_sent_before or (sent_at is not None and sent_at < self._started_at)

    async def _ack_verdicts(self, live: LiveJob) -> None:
        """Only now: had we died before the status was written, the event would come again."""
        if not conditions.is_terminal(live.job.status):
            return
        while live.verdicts:
            await live.verdicts[-1].ack()
            live.verdicts.pop()

    async def _remove_expired(self, key: Key, finished: FinishedJob) -> None:
        if finished.expires_at > self._now():
            return
        await self._applier.remove(key, finished.uid)
        message = f"finished {finished.ttl_seconds} s ago; the result stays in the API"
        self._recorder.record_about(
            key.namespace, key.name, finished.uid, Record("Expired", message)
        )

    async def _bear_outage(self, key: Key) -> None:
        """The bus is away: say so in the status, and let deleted jobs go in time."""
        self._bus_state.mark_down()
        live = self._cache.get(key)
        if not isinstance(live, LiveJob):
            return
        if live.job.metadata.deletion_timestamp is not None:
            self._queue.add_later(key, 1.0)
            return
        if self._bus_state.silence_seconds < _OUTAGE_SECONDS:
            return  # not worth a write to every job
        try:
            outage = showing.explain_outage(live.job, now=self._now())
            await self._applier.apply(Target(key, live.job, live.version), outage)
        except (Stale, KubeUnavailable, KubeRejected) as exc:
            _log.info("outage not shown", key=key, problem=str(exc))

    def _now(self) -> datetime:
        """To the millisecond, as it stands in the status."""
        now = self._clock.now()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)
