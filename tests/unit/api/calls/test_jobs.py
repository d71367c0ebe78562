"""The CallJob that the API asks for."""

import uuid
from typing import Any

from parlance.api.db import tables
from parlance.api.domain.calls import jobs
from parlance.contracts.calls import ChannelPolicy, Priority
from parlance.contracts.ids import CompanySlug

CALL_ID = uuid.UUID("0190a000-0000-7000-8000-000000000001")
ACME = CompanySlug("acme")


def build_call(**values: Any) -> tables.Call:
    return tables.Call(
        id=CALL_ID,
        company_id=uuid.uuid4(),
        audio_key="acme/calls/x/audio.mp3",
        sha256="a" * 64,
        media_type="audio/mpeg",
        **values,
    )


def test_the_whole_manifest() -> None:
    call = build_call(
        channels=ChannelPolicy.AGENT_RIGHT, language="en", priority=Priority.INTERACTIVE
    )

    assert jobs.build_calljob(call, ACME, traceparent="00-a-b-01") == {
        "apiVersion": "parlance.dev/v1alpha1",
        "kind": "CallJob",
        "metadata": {
            "name": f"call-{CALL_ID}",
            "labels": {"parlance.dev/company": "acme"},
            "annotations": {"parlance.dev/traceparent": "00-a-b-01"},
            "finalizers": ["parlance.dev/in-flight"],
        },
        "spec": {
            "company": "acme",
            "audio": {
                "objectKey": "acme/calls/x/audio.mp3",
                "sha256": "a" * 64,
                "mediaType": "audio/mpeg",
            },
            "channels": "AgentRight",
            "language": "en",
            "stages": ["Transcribe", "Speakers", "Insights"],
            "priorityClass": "Interactive",
            "suspend": False,
            "cancel": False,
            "activeDeadlineSeconds": 3600,
            "backoffLimit": 3,
            "ttlSecondsAfterFinished": 86400,
        },
    }


def test_a_long_call_gets_a_long_deadline() -> None:
    spec = jobs.build_calljob(build_call(duration_seconds=36_000.0), ACME)["spec"]

    assert isinstance(spec, dict)
    assert spec["activeDeadlineSeconds"] == 72_000
