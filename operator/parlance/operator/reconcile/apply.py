"""Carrying out a plan: the only place where the operator changes anything."""

from collections import deque
from dataclasses import dataclass

from parlance.contracts.crs.meta import TRACEPARENT_ANNOTATION, Reason
from parlance.contracts.crs.v1alpha1.calljob import CallJob, CallJobStatus, Dispatch
from parlance.operator import metrics
from parlance.operator.bus_state import BusState
from parlance.operator.cache import JobCache, parse_version
from parlance.operator.planning import conditions
from parlance.operator.planning.steps import (
    ClearNote,
    DropMessage,
    Plan,
    Publish,
    PutNote,
    SendDispatch,
    Step,
)
from parlance.operator.reconcile import patches
from parlance.operator.recording import EventRecorder
from parlance.operator.work_queue import Key
from parlance.runtime import telemetry
from parlance.runtime.bus import Bus, StoredJob
from parlance.runtime.errors import BusUnavailable
from parlance.runtime.kube import Kube, Manifest, Outcome, Patched

_MAX_DEFERRED = 10_000
"""Deleted jobs whose workers could not be told; the oldest are given up first."""


class Stale(Exception):
    """The object is another one than the plan was made for; plan again."""


@dataclass(slots=True)
class Target:
    """The object that a plan was made for. Writes only succeed while it is still that one."""

    key: Key
    job: CallJob
    version: int


class Applier:
    """Applies plans in the order that `Plan` describes."""

    def __init__(
        self, *, kube: Kube, bus: Bus, bus_state: BusState, cache: JobCache, recorder: EventRecorder
    ) -> None:
        self._kube = kube
        self._bus = bus
        self._bus_state = bus_state
        self._cache = cache
        self._recorder = recorder
        self._deferred: deque[tuple[CallJob, tuple[Step, ...]]] = deque(maxlen=_MAX_DEFERRED)

    async def apply(self, target: Target, plan: Plan) -> StoredJob | None:
        """Returns what was dispatched. Raises Stale, BusUnavailable, KubeUnavailable and
        KubeRejected."""
        if plan.adds_finalizer:
            await self._patch(target, patches.build_adoption_patch(target.job))
        # Known before the dispatch: if the bus is rebuilt in between, the next plan sees it.
        stream_created = self._bus_state.created or ""
        stored = await self._take_steps(target.job, plan.steps)
        if plan.status is not None:
            status = plan.status
            if stored is not None:
                status = _locate(status, stored.sequence, stream_created)
            await self._write_status(target, status)
        if plan.deferred:
            self._deferred.append((target.job, plan.deferred))
        if plan.releases:
            await self._patch(target, patches.build_release_patch(target.job))
        if plan.removes:
            await self.remove(target.key, target.job.metadata.uid)
        for record in plan.records:
            self._recorder.record(target.job, record)
        return stored

    async def remove(self, key: Key, uid: str) -> None:
        """Delete the object, but no other one of the same name."""
        await self._kube.delete_calljob(key.name, namespace=key.namespace, uid=uid)
        self._cache.forget(key)

    async def take_deferred(self) -> None:
        """Catch up on what was owed to the bus while it was away. Raises BusUnavailable."""
        while self._deferred:
            job, steps = self._deferred[0]
            await self._take_steps(job, steps)
            self._deferred.popleft()

    # --- bus --------------------------------------------------------------------------------

    async def _take_steps(self, job: CallJob, steps: tuple[Step, ...]) -> StoredJob | None:
        """What the job's dispatch, if it is among the steps, came to."""
        if steps and self._bus_state.created is None:
            raise BusUnavailable("no answer from JetStream")
        stored = None
        with telemetry.continued_trace(job.metadata.annotations.get(TRACEPARENT_ANNOTATION)):
            for step in steps:
                stored = await self._take(job, step) or stored
        return stored

    async def _take(self, job: CallJob, step: Step) -> StoredJob | None:
        match step:
            case Publish():
                await self._bus.publish_event(step.event)
            case SendDispatch():
                metrics.ATTEMPTS.labels(_name_cause(job)).inc()
                return await self._bus.publish_job(step.message)
            case DropMessage():
                if step.stream_created == self._bus_state.created:
                    await self._bus.delete_job(step.sequence)
            case PutNote():
                await self._bus.put_control(job.call_id, step.action)
            case ClearNote():
                await self._bus.clear_control(job.call_id)
        return None

    # --- Kubernetes -------------------------------------------------------------------------

    async def _write_status(self, target: Target, status: CallJobStatus) -> None:
        before = target.job.status
        patch = patches.build_status_patch(before, status)
        if patch is None:
            return
        patched = await self._kube.patch_calljob_status(
            target.key.name,
            patch,
            namespace=target.key.namespace,
            resource_version=str(target.version),
        )
        metrics.STATUS_PATCHES.labels(patched.outcome).inc()
        await self._take_in(target, patched)
        target.job = target.job.model_copy(update={"status": status})
        _measure(before, status)

    async def _patch(self, target: Target, patch: Manifest) -> None:
        patched = await self._kube.patch_calljob(
            target.key.name,
            patch,
            namespace=target.key.namespace,
            resource_version=str(target.version),
        )
        await self._take_in(target, patched)

    async def _take_in(self, target: Target, patched: Patched) -> None:
        """Our own write is the newest we know; anything else means that the plan is void."""
        match patched.outcome:
            case Outcome.DONE if patched.manifest is not None:
                self._cache.note(patched.manifest)
                target.version = parse_version(patched.manifest)
            case Outcome.NOT_FOUND:
                self._cache.forget(target.key)
                raise Stale
            case _:
                await self.refresh(target.key)
                raise Stale

    async def refresh(self, key: Key) -> None:
        """Read the object itself: the watch may not have brought the newest version yet."""
        manifest = await self._kube.get_calljob(key.name, namespace=key.namespace)
        if manifest is None:
            self._cache.forget(key)
        else:
            self._cache.note(manifest)


def _locate(status: CallJobStatus, sequence: int, stream_created: str) -> CallJobStatus:
    dispatch = (status.dispatch or Dispatch()).model_copy(
        update={"sequence": sequence, "stream_created": stream_created}
    )
    return status.model_copy(update={"dispatch": dispatch})


def _name_cause(job: CallJob) -> str:
    """Why a dispatch goes out, for the metric."""
    if conditions.is_suspended(job.status):
        return Reason.RESUMED
    if job.status.attempts == 0:
        return Reason.ACCEPTED
    return Reason.RETRYING


def _measure(old: CallJobStatus, new: CallJobStatus) -> None:
    if old.start_time is None and new.start_time is not None and new.queued_time is not None:
        waited = new.start_time - new.queued_time
        metrics.JOB_QUEUE_SECONDS.observe(max(0.0, waited.total_seconds()))
    if old.completion_time is None and new.completion_time is not None and new.start_time:
        took = new.completion_time - new.start_time
        metrics.JOB_EXECUTION_SECONDS.labels(new.phase or "").observe(
            max(0.0, took.total_seconds())
        )
