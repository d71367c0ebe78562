"""What the tests in this folder share besides fixtures: values, and builders of events and rows."""

import os
import pathlib
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.domain.calls import deleting, jobs
from parlance.api.settings import DatabaseSettings
from parlance.contracts import calls, ids, objects
from parlance.contracts.analysis import insights
from parlance.contracts.bus import calls as call_events
from parlance.contracts.bus.envelopes import Envelope
from parlance.contracts.ids import CallId, CompanySlug
from parlance.runtime.bus import Bus
from parlance.runtime.clock import SystemClock
from parlance.runtime.kube import Kube
from parlance.runtime.settings import KubeSettings
from parlance.runtime.store import Store
from pydantic import SecretStr
from sqlmodel import col

from tests.integration.databases import Urls

MODEL = calls.ModelInfo(name="tiny.en", hash="0123456789abcdef")


@dataclass(frozen=True)
class Tenant:
    """A company that a test works with."""

    id: uuid.UUID
    slug: CompanySlug


@dataclass
class Parts:
    """Everything the recorder works with."""

    database: Database
    store: Store
    bus: Bus
    kube: Kube
    clock: SystemClock = field(default_factory=SystemClock)


def build_settings(urls: Urls, **changes: Any) -> DatabaseSettings:
    return DatabaseSettings(database_url=SecretStr(urls.app), **changes)


def build_kube_settings(kubeconfig: pathlib.Path, namespace: str = "default") -> KubeSettings:
    # By its alias, which type checkers do not see: the field is read from KUBECONFIG.
    return KubeSettings.model_validate({"KUBECONFIG": kubeconfig, "namespace": namespace})


async def add_company(database: Database, slug: str) -> Tenant:
    company = tables.Company(slug=slug, name=slug.title())
    async with database.system_session() as transaction:
        transaction.add(company)
    return Tenant(id=company.id, slug=CompanySlug(slug))


async def add_call(database: Database, company: Tenant, **values: Any) -> tables.Call:
    call = tables.Call(company_id=company.id, **values)
    async with database.company_session(company.id) as transaction:
        transaction.add(call)
    return call


async def fetch_call(database: Database, call_id: uuid.UUID | str) -> tables.Call | None:
    async with database.system_session() as transaction:
        return await transaction.get(tables.Call, uuid.UUID(str(call_id)))


async def fetch_segments(database: Database, call_id: uuid.UUID) -> list[tables.CallSegment]:
    query = (
        sa.select(tables.CallSegment)
        .where(col(tables.CallSegment.call_id) == call_id)
        .order_by(col(tables.CallSegment.index))
    )
    async with database.system_session() as transaction:
        return list((await transaction.scalars(query)).all())


async def count_rows(database: Database, table: type[tables.Table]) -> int:
    async with database.system_session() as transaction:
        return await transaction.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def call_id_of(call: tables.Call) -> CallId:
    return ids.parse_call_id(str(call.id))


def build_event(
    company: Tenant, call_id: CallId, data: call_events.EventData, attempt: int = 1
) -> Envelope:
    return call_events.build_event(data, company=company.slug, call_id=call_id, attempt=attempt)


def build_started(duration_seconds: float = 44.0) -> call_events.Started:
    return call_events.Started(
        worker="worker-1",
        container="wav",
        codec="pcm_s16le",
        channels=1,
        duration_seconds=duration_seconds,
        model=MODEL,
    )


def build_failed(reason: str = "UndecodableAudio") -> call_events.Failed:
    return call_events.Failed(
        reason=reason,
        code="undecodable_audio",
        message="The audio cannot be decoded.",
        stage=calls.Stage.TRANSCRIBE,
        retryable=False,
    )


def build_transcript(call_id: CallId, attempt: int, texts: list[str]) -> calls.Transcript:
    segments = tuple(
        calls.Segment(
            id=f"{index}-0",
            channel=0,
            speaker="speaker_0",
            start_seconds=float(index),
            end_seconds=index + 0.9,
            text=text,
            words=(calls.Word(text=text, start_seconds=float(index), end_seconds=index + 0.9),),
        )
        for index, text in enumerate(texts)
    )
    return calls.Transcript(
        call_id=call_id,
        attempt=attempt,
        language="en",
        language_confidence=0.98,
        role_confidence=0.9,
        media=calls.MediaInfo(
            container="wav", codec="pcm_s16le", channels=1, sample_rate_hz=8000,
            duration_seconds=len(texts) * 1.0,
        ),
        model=MODEL,
        segments=segments,
        speech=(),
    )  # fmt: skip


async def put_result(
    store: Store,
    company: Tenant,
    call_id: CallId,
    *,
    attempt: int = 1,
    texts: list[str],
    trackers: tuple[insights.TrackerResult, ...] = (),
) -> call_events.Analyzed:
    """Write both artefacts as a worker does; returns the data of its `analyzed`."""
    transcript = build_transcript(call_id, attempt, texts)
    found = insights.Insights(
        call_id=call_id,
        attempt=attempt,
        segment_sentiments={"0-0": calls.Sentiment(score=0.5, label="positive")},
        keywords=(insights.Keyword(text=texts[0][-10:], score=1.0, count=2),),
        summary=insights.Summary(text=texts[0], sentences=()),
        trackers=trackers,
    )
    prefix = objects.format_call_prefix(company.slug, call_id)
    first = await store.put_bytes(f"{prefix}t{attempt}.json", transcript.model_dump_json().encode())
    second = await store.put_bytes(f"{prefix}i{attempt}.json", found.model_dump_json().encode())
    return call_events.Analyzed(
        transcript_key=first.key,
        transcript_sha256=first.sha256 or "",
        insights_key=second.key,
        insights_sha256=second.sha256 or "",
        segments=len(texts),
        duration_seconds=float(len(texts)),
        timings={"transcribe": 1.5},
    )


async def read_events(bus: Bus, filter_subject: str = "events.>") -> list[Envelope]:
    return [stored.envelope async for stored in bus.read_events(filter_subject)]


async def add_running(parts: Parts, company: Tenant) -> tables.Call:
    """A call with its job, its objects and an event."""
    call = await add_call(
        parts.database, company, status=calls.CallStatus.PROCESSING, audio_key="acme/x"
    )
    call_id = call_id_of(call)
    await parts.kube.create_calljob(jobs.build_calljob(call, company.slug))
    await put_result(parts.store, company, call_id, texts=["one"])
    await parts.bus.publish_event(build_event(company, call_id, build_started()))
    return call


async def delete_call(parts: Parts, company: Tenant, call: tables.Call) -> bool:
    async with parts.database.company_session(company.id) as transaction:
        return await deleting.delete_call(transaction, company.id, call.id, actor="key:x")


async def release_job(parts: Parts, call: tables.Call) -> None:
    """What the operator does with a deleted job once its work has ended."""
    await parts.kube.patch_calljob(f"call-{call.id}", {"metadata": {"finalizers": None}})


async def list_keys(parts: Parts) -> list[str]:
    return [stored.key async for stored in parts.store.list("")]


def set_written_at(folder: pathlib.Path, key: str, at: datetime) -> None:
    """Let an object of the store in `folder` be one that was written then."""
    os.utime(folder / key, (at.timestamp(), at.timestamp()))
