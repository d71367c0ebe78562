"""Kubernetes Events: told in the background, so that no reconcile waits for the telling."""

import asyncio
import os
from typing import NamedTuple

import structlog
from parlance.contracts.crs.v1alpha1.calljob import CallJob
from parlance.operator import metrics
from parlance.operator.planning.steps import Record
from parlance.runtime.errors import RuntimeFault
from parlance.runtime.kube import Kube

_log = structlog.get_logger(__name__)
COMPONENT = "parlance-operator"
_POSTERS = 2
_QUEUE_SIZE = 1000
"""Of each poster."""


class _Post(NamedTuple):
    namespace: str
    name: str
    uid: str
    record: Record


class EventRecorder:
    """Posts what it is told; drops rather than holds up when the API server is slow.

    All Events of a job go through one poster, so they are posted in the order of telling: two
    posters could overtake each other, and `kubectl describe` would show the end before the start.
    """

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._queues: list[asyncio.Queue[_Post]] = [
            asyncio.Queue(_QUEUE_SIZE) for _ in range(_POSTERS)
        ]
        self._instance = os.uname().nodename

    def record(self, job: CallJob, record: Record) -> None:
        self.record_about(job.metadata.namespace, job.metadata.name, job.metadata.uid, record)

    def record_about(self, namespace: str, name: str, uid: str, record: Record) -> None:
        queue = self._queues[hash(uid) % len(self._queues)]
        try:
            queue.put_nowait(_Post(namespace, name, uid, record))
        except asyncio.QueueFull:
            metrics.RECORDS_DROPPED.inc()

    async def post_forever(self) -> None:
        """Runs until cancelled."""
        async with asyncio.TaskGroup() as group:
            for queue in self._queues:
                group.create_task(self._post_each(queue))

    async def drain(self) -> None:
        """Wait until everything told so far was tried."""
        for queue in self._queues:
            await queue.join()

    async def _post_each(self, queue: asyncio.Queue[_Post]) -> None:
        while True:
            post = await queue.get()
            try:
                await self._post(post)
            except RuntimeFault as exc:
                # An Event is a courtesy: the status says everything that matters.
                metrics.RECORDS_DROPPED.inc()
                _log.warning("event not posted", name=post.name, problem=str(exc))
            finally:
                queue.task_done()

    async def _post(self, post: _Post) -> None:
        await self._kube.create_event(
            namespace=post.namespace,
            name=post.name,
            uid=post.uid,
            reason=post.record.reason,
            message=post.record.message,
            is_warning=post.record.is_warning,
            component=COMPONENT,
            instance=self._instance,
        )
