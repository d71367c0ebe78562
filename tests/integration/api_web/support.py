"""What the tests of this folder make: audio of every kind, a running API, its client."""

import io
import json
import math
import pathlib
import struct
import uuid
import wave
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import av
import httpx
import numpy as np
import prometheus_client
import sqlalchemy as sa
from parlance.api.db import tables
from parlance.api.db.session import Database
from parlance.api.identity import keys
from parlance.api.identity.scopes import Scope
from parlance.api.settings import Settings
from parlance.contracts.analysis.insights import Insights
from parlance.contracts.calls import CallStatus, Role
from parlance.runtime.process import Process

DEAD_KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}],
    "users": [{"name": "none", "user": {"token": "none"}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    "current-context": "none",
}

FORMATS = {
    "wav": ("wav", "pcm_s16le"),
    "mp3": ("mp3", "mp3"),
    "m4a": ("ipod", "aac"),
    "mp4": ("mp4", "aac"),
    "webm": ("webm", "libopus"),
    "ogg": ("ogg", "libopus"),
    "flac": ("flac", "flac"),
}


@dataclass(frozen=True)
class Account:
    """A company with a key."""

    id: uuid.UUID
    slug: str
    key: str


@dataclass(frozen=True)
class Api:
    """A running API and what it runs on."""

    url: str
    metrics_url: str
    settings: Settings
    database: Database
    process: Process
    objects: pathlib.Path

    def list_objects(self) -> list[str]:
        files = (path for path in self.objects.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.objects)) for path in files)


async def add_account(database: Database, slug: str, *scopes: Scope, **values: Any) -> Account:
    """`values`: of the company."""
    key = keys.generate_key("test")
    granted = scopes or [scope for scope in Scope if scope is not Scope.ADMIN]
    async with database.system_session() as session:
        company = tables.Company(slug=slug, name=slug.title(), **values)
        session.add(company)
        await session.flush()
        session.add(
            tables.ApiKey(
                id=key.key_id,
                company_id=company.id,
                sha256=key.sha256,
                scopes=[scope.value for scope in granted],
            )
        )
    return Account(company.id, slug, key.text)


def authorize(account: Account) -> dict[str, str]:
    """The headers of a request with the key."""
    return {"X-Api-Key": account.key}


async def add_user(database: Database, account: Account, extension_id: str) -> str:
    async with database.system_session() as session:
        user = tables.User(company_id=account.id, name="Ann", extension_id=extension_id)
        session.add(user)
    return str(user.id)


TEXTS = ("Hello, this is <b>Ann</b>.", "I need help & advice.")


async def add_call(database: Database, account: Account, **values: Any) -> str:
    call = tables.Call(company_id=account.id, **values)
    async with database.company_session(account.id) as session:
        session.add(call)
    return str(call.id)


async def complete(database: Database, account: Account, call_id: str) -> None:
    """What the recorder writes."""
    id_ = uuid.UUID(call_id)
    insights = Insights(call_id=call_id, attempt=1)
    async with database.company_session(account.id) as session:
        call = await session.get_one(tables.Call, id_)
        call.status, call.segment_count, call.attempt = CallStatus.COMPLETED, 2, 1
        call.duration_seconds, call.detected_language = 3.5, "en"
        call.completed_at = call.updated_at = datetime.now(UTC)
        for index, text in enumerate(TEXTS):
            session.add(
                tables.CallSegment(
                    call_id=id_,
                    company_id=account.id,
                    index=index,
                    id=f"0-{index}",
                    channel=index,
                    speaker=f"speaker_{index}",
                    role=Role.AGENT if index == 0 else Role.UNKNOWN,
                    start_seconds=index * 1.5,
                    end_seconds=index * 1.5 + 1.25,
                    text=text,
                )
            )
        session.add(
            tables.CallInsights(
                call_id=id_,
                company_id=account.id,
                attempt=1,
                profile=insights.profile,
                data=insights.model_dump(mode="json"),
            )
        )


async def count_rows(database: Database) -> dict[str, int]:
    """Rows that an upload could leave behind."""
    async with database.system_session() as session:
        return {
            table.__tablename__: await session.scalar(sa.select(sa.func.count()).select_from(table))
            or 0
            for table in (tables.Call, tables.OutboxRow, tables.AuditEntry)
        }


def count_listeners() -> float | None:
    """Streams and long polls that are open in this process."""
    return prometheus_client.REGISTRY.get_sample_value("parlance_event_listeners")


def make_wav(seconds: float = 1.0, *, seed: int = 1, rate_hz: int = 8000) -> bytes:
    """A tone whose pitch is the seed's: different bytes for each."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        step = 2 * math.pi * (200 + seed) / rate_hz
        samples = (int(8000 * math.sin(step * n)) for n in range(int(seconds * rate_hz)))
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return data.getvalue()


def make_audio(kind: str, seconds: float = 2.0) -> bytes:
    """The same tone in any of FORMATS."""
    container, codec = FORMATS[kind]
    rate_hz = 48_000
    tone = 8000 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate_hz)) / rate_hz)
    data = io.BytesIO()
    with av.open(data, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=rate_hz)
        stream.layout = "mono"
        resampler = av.AudioResampler(stream.format, "mono", rate_hz, frame_size=stream.frame_size)
        frame = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None, :], "s16", "mono")
        frame.rate = rate_hz
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return data.getvalue()


def problem_of(response: httpx.Response) -> str:
    """The code of a problem, after checking that it is a whole one."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    body = json.loads(response.content)
    assert body["status"] == response.status_code
    assert body["request_id"] == response.headers["x-request-id"]
    assert {"type", "title", "detail", "instance", "retryable", "errors"} <= body.keys()
    return str(body["code"])
