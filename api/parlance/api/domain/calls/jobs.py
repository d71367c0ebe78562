"""What the outbox sends for a call: its CallJob.

`add` notes it in the transaction that writes the call, `CallSender` creates it in the cluster when
`outbox.relay` asks. The name of a CallJob is the call's id, so creating it twice is one job.
"""

import math
import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.outbox import rows as outbox
from parlance.api.outbox.window import AdmissionWindow
from parlance.contracts import ids
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus.subjects import Kind
from parlance.contracts.calls import CallStatus, Stage
from parlance.contracts.crs import meta
from parlance.contracts.crs.meta import Reason
from parlance.contracts.crs.v1alpha1 import calljob
from parlance.contracts.ids import CompanySlug
from parlance.contracts.problems import Problem
from parlance.runtime.bus import Bus
from parlance.runtime.clock import Clock
from parlance.runtime.errors import KubeRejected, Permanent
from parlance.runtime.kube import Kube
from prometheus_client import Gauge
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

_LIVE = Gauge("parlance_live_calljobs", "Unfinished CallJobs in the namespace, as last counted.")

_INVALID_STATUSES = (400, 422)
"""Refusals of the object itself; others (403, 404) end once an administrator mends the cluster."""


def add(
    session: AsyncSession,
    call: tables.Call,
    company: CompanySlug,
    *,
    traceparent: str | None = None,
) -> None:
    """Note that the call needs a CallJob; the session commits it."""
    outbox.add(
        session,
        company_id=call.company_id,
        kind=Kind.CALL,
        subject_id=call.id,
        payload=build_calljob(call, company, traceparent=traceparent),
        rank=tables.PRIORITY_RANK[call.priority],
    )


class CallSender:
    """Creates CallJobs for committed calls: the handler of calls in `outbox.relay`."""

    kind = Kind.CALL

    def __init__(self, kube: Kube, bus: Bus, clock: Clock, *, max_live_jobs: int) -> None:
        self._kube = kube
        self._bus = bus
        self._window = AdmissionWindow(self._count_live, clock, max_live=max_live_jobs)

    async def count_room(self, *, is_inline: bool) -> int:
        return await self._window.count_room(is_inline=is_inline)

    async def find_wanted(
        self, session: AsyncSession, subject_ids: Sequence[uuid.UUID]
    ) -> set[uuid.UUID]:
        """Calls that still wait for their job."""
        query = sa.select(col(tables.Call.id)).where(
            col(tables.Call.id).in_(subject_ids), col(tables.Call.status) == CallStatus.QUEUED
        )
        return set((await session.scalars(query)).all())

    async def send(self, row: tables.OutboxRow) -> bool:
        is_new = await self._kube.create_calljob(dict(row.payload))
        if is_new:
            self._window.note_created()
        return is_new

    async def give_up(self, row: tables.OutboxRow, refusal: Permanent) -> None:
        """A CallJob that can never be created fails its call. The recorder takes the event like
        any failure, ends the call and removes the outbox row."""
        if not isinstance(refusal, KubeRejected) or refusal.status not in _INVALID_STATUSES:
            return
        failed = call_events.Failed(
            reason=Reason.INVALID_INPUT,
            code=Problem.INTERNAL.code,
            message="The job could not be created in the cluster.",
            stage=Stage.TRANSCRIBE,
            retryable=False,
        )
        event = call_events.build_event(
            failed,
            company=CompanySlug(_company_of(row)),
            call_id=ids.parse_call_id(str(row.subject_id)),
            attempt=0,
        )
        await self._bus.publish_event(event)

    async def _count_live(self) -> int:
        live = await self._kube.count_live_calljobs()
        _LIVE.set(live)
        return live


def format_name(call: tables.Call) -> str:
    """The name of the call's CallJob."""
    return call.calljob_name or ids.format_calljob_name(ids.parse_call_id(str(call.id)))


def build_calljob(
    call: tables.Call, company: CompanySlug, *, traceparent: str | None = None
) -> dict[str, JsonValue]:
    """The CallJob of a call that came in by the API."""
    spec = calljob.CallJobSpec(
        company=company,
        audio=calljob.Audio(
            object_key=call.audio_key, sha256=call.sha256, media_type=call.media_type
        ),
        channels=calljob.Channels.of(call.channels),
        language=call.language,
        priority_class=calljob.PriorityClass.of(call.priority),
        active_deadline_seconds=_plan_deadline_seconds(call.duration_seconds or 0.0),
    )
    return calljob.build_manifest(
        name=ids.format_calljob_name(ids.parse_call_id(str(call.id))),
        spec=spec,
        labels={meta.COMPANY_LABEL: company},
        annotations={meta.TRACEPARENT_ANNOTATION: traceparent} if traceparent else {},
        finalizers=(meta.FINALIZER,),
    )


def _plan_deadline_seconds(duration_seconds: float) -> int:
    """An hour, or twice the length of a longer call: even one CPU is faster than that."""
    return max(3600, math.ceil(2 * duration_seconds))


def _company_of(row: tables.OutboxRow) -> str:
    spec = row.payload["spec"]
    assert isinstance(spec, dict)
    return str(spec["company"])
