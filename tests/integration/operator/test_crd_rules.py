"""The CRD's rules, asked of the API server itself: what it refuses, and with which words."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from parlance.contracts.crs.v1alpha1.calljob import Audio, CallJob, CallJobSpec, build_manifest
from parlance.runtime.errors import KubeRejected
from parlance.runtime.kube import Kube

from devstack import waiting
from tests.integration.operator.cluster import Cluster

NAME = "rules"
LATER = "2026-01-01T00:00:01Z"
SPEC = CallJobSpec(company="acme", audio=Audio(object_key="acme/a.wav"))
COMPLETE = {
    "type": "Complete",
    "status": "True",
    "reason": "Succeeded",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


def manifest(name: str = NAME, **spec: Any) -> dict[str, Any]:
    built = build_manifest(name=name, spec=SPEC, labels={}, annotations={}, finalizers=())
    built["spec"] |= spec
    return built


async def test_defaults_are_filled_in(kube: Kube) -> None:
    bare = manifest()
    bare["spec"] = {"company": "acme", "audio": {"objectKey": "acme/a.wav"}}
    await kube.create_calljob(bare)
    created = await kube.get_calljob(NAME)

    assert created is not None
    assert CallJob.model_validate(created).spec == SPEC


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"audio": {}}, "exactly one of objectKey and uri"),
        ({"audio": {"objectKey": "k", "uri": "https://a/b"}}, "exactly one of objectKey and uri"),
        ({"audio": {"uri": "ftp://a/b"}}, "spec.audio.uri"),
        ({"audio": {"objectKey": ""}}, "spec.audio.objectKey"),
        ({"audio": {"objectKey": "globex/calls/1/audio.wav"}}, "below the folder of the company"),
        ({"audio": {"objectKey": "acme-2/a.wav"}}, "below the folder of the company"),
        ({"audio": {"objectKey": "k", "sha256": "xyz"}}, "spec.audio.sha256"),
        ({"company": "Acme Inc"}, "spec.company"),
        ({"company": "a" * 64}, "spec.company"),
        ({"channels": "Quadrophonic"}, "spec.channels"),
        ({"language": "english!"}, "spec.language"),
        ({"stages": []}, "spec.stages"),
        ({"stages": ["Transcribe", "Transcribe"]}, "spec.stages"),
        ({"stages": ["Dream"]}, "spec.stages"),
        ({"stages": ["Insights"]}, "stages must contain Transcribe"),
        ({"stages": ["Speakers", "Insights"]}, "stages must contain Transcribe"),
        ({"priorityClass": "Urgent"}, "spec.priorityClass"),
        ({"activeDeadlineSeconds": 0}, "spec.activeDeadlineSeconds"),
        ({"backoffLimit": 21}, "spec.backoffLimit"),
        ({"ttlSecondsAfterFinished": -1}, "spec.ttlSecondsAfterFinished"),
    ],
)
async def test_bad_spec_is_refused(kube: Kube, spec: dict[str, Any], words: str) -> None:
    with pytest.raises(KubeRejected) as refusal:
        await kube.create_calljob(manifest(**spec))

    assert words in refusal.value.reason


@pytest.mark.parametrize(
    "stages", [["Transcribe"], ["Insights", "Transcribe"], ["Transcribe", "Speakers"]]
)
async def test_any_stages_with_a_transcript_are_accepted(kube: Kube, stages: list[str]) -> None:
    assert await kube.create_calljob(manifest(stages=stages))


async def test_a_job_from_before_the_rule_on_stages_can_still_be_steered(
    cluster: Cluster, kube: Kube
) -> None:
    name = "calljobs.parlance.dev"
    original = json.loads(await cluster.kubectl("get", "crd", name, "-o", "json"))
    del original["metadata"]["resourceVersion"]
    before = json.loads(json.dumps(original))
    schema = before["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    stages = schema["properties"]["stages"]
    rules = stages["x-kubernetes-validations"]
    stages["x-kubernetes-validations"] = [r for r in rules if "Transcribe" not in r["rule"]]
    older = manifest("older", stages=["Insights"])

    async def is_refused() -> bool:
        try:
            await kube.create_calljob(manifest("probe", stages=["Insights"]))
        except KubeRejected:
            return True
        await kube.delete_calljob("probe")
        return False

    await cluster.kubectl("replace", "-f", "-", stdin=json.dumps(before))
    try:
        await waiting.wait_until(lambda: _is_not(is_refused), 30, "the rule is gone")
        await kube.create_calljob(older)
    finally:
        await cluster.kubectl("replace", "-f", "-", stdin=json.dumps(original))
    await waiting.wait_until(is_refused, 30, "the rule is back")

    suspended = await kube.patch_calljob("older", {"spec": {"suspend": True}})
    shown = await kube.patch_calljob_status("older", {"status": {"phase": "Suspended"}})

    assert suspended.manifest is not None
    assert shown.manifest is not None


async def _is_not(condition: Callable[[], Awaitable[bool]]) -> bool:
    return not await condition()


async def test_name_must_fit_a_label(kube: Kube) -> None:
    assert await kube.create_calljob(manifest("n" * 63))
    with pytest.raises(KubeRejected) as refusal:
        await kube.create_calljob(manifest("n" * 64))

    assert "at most 63 characters" in refusal.value.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"company": "globex"}, "company is immutable"),
        ({"audio": {"objectKey": "acme/b.wav"}}, "audio is immutable"),
        ({"channels": "Mono"}, "channels is immutable"),
        ({"language": "de"}, "language is immutable"),
        ({"stages": ["Transcribe"]}, "stages is immutable"),
    ],
)
async def test_what_was_asked_for_stays(kube: Kube, change: dict[str, Any], words: str) -> None:
    await kube.create_calljob(manifest())
    with pytest.raises(KubeRejected) as refusal:
        await kube.patch_calljob(NAME, {"spec": change})

    assert words in refusal.value.reason


@pytest.mark.parametrize(
    "change",
    [{"suspend": True}, {"cancel": True}, {"ttlSecondsAfterFinished": 5}, {"backoffLimit": 0}],
)
async def test_steering_is_allowed(kube: Kube, change: dict[str, Any]) -> None:
    await kube.create_calljob(manifest())
    patched = await kube.patch_calljob(NAME, {"spec": change})

    assert patched.manifest is not None


async def test_cancel_is_one_way(kube: Kube) -> None:
    await kube.create_calljob(manifest(cancel=True))
    with pytest.raises(KubeRejected) as refusal:
        await kube.patch_calljob(NAME, {"spec": {"cancel": False}})

    assert "cancel is one way" in refusal.value.reason


async def test_priority_may_change_until_the_dispatch(kube: Kube) -> None:
    await kube.create_calljob(manifest())
    await kube.patch_calljob(NAME, {"spec": {"priorityClass": "Bulk"}})
    await kube.patch_calljob_status(NAME, {"status": {"attempts": 1}})
    with pytest.raises(KubeRejected) as refusal:
        await kube.patch_calljob(NAME, {"spec": {"priorityClass": "Interactive"}})

    assert "frozen once the job was dispatched" in refusal.value.reason


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({"completionTime": "2026-01-01T00:00:00Z"}, {"completionTime": LATER}, "written once"),
        ({"completionTime": "2026-01-01T00:00:00Z"}, {"completionTime": None}, "written once"),
        (
            {"result": {"objectKey": "t", "sha256": "a"}},
            {"result": {"objectKey": "u", "sha256": "a"}},
            "status.result is written once",
        ),
        (
            {"attempts": 1, "progress": {"percent": 50}},
            {"progress": {"percent": 49}},
            "progress never goes back",
        ),
        (
            {"conditions": [COMPLETE]},
            {"conditions": [COMPLETE, COMPLETE | {"type": "Failed"}]},
            "either Complete or Failed",
        ),
        ({}, {"progress": {"percent": 101}}, "status.progress.percent"),
        ({}, {"conditions": [COMPLETE, COMPLETE]}, "Duplicate value"),
    ],
)
async def test_status_keeps_its_promises(
    kube: Kube, first: dict[str, Any], second: dict[str, Any], words: str
) -> None:
    await kube.create_calljob(manifest())
    await kube.patch_calljob_status(NAME, {"status": first})
    with pytest.raises(KubeRejected) as refusal:
        await kube.patch_calljob_status(NAME, {"status": second})

    assert words in refusal.value.reason


async def test_progress_begins_anew_with_an_attempt(kube: Kube) -> None:
    await kube.create_calljob(manifest())
    await kube.patch_calljob_status(NAME, {"status": {"attempts": 1, "progress": {"percent": 50}}})
    patched = await kube.patch_calljob_status(
        NAME, {"status": {"attempts": 2, "progress": {"percent": 0}}}
    )

    assert patched.manifest is not None


async def test_status_is_written_by_its_own_door_only(kube: Kube) -> None:
    await kube.create_calljob(manifest())
    await kube.patch_calljob(NAME, {"status": {"phase": "Succeeded"}})
    created = await kube.get_calljob(NAME)

    assert created is not None
    assert "phase" not in created.get("status", {})


async def test_jobs_can_be_selected_by_company_and_phase(cluster: Cluster, kube: Kube) -> None:
    await kube.create_calljob(manifest("one"))
    await kube.create_calljob(
        manifest("two", company="globex", audio={"objectKey": "globex/a.wav"})
    )
    await kube.patch_calljob_status("two", {"status": {"phase": "Running"}})

    assert (
        await cluster.kubectl(
            "get",
            "callj",
            "-o",
            "name",
            "--field-selector=spec.company=globex,status.phase=Running",
        )
        == "calljob.parlance.dev/two\n"
    )


async def test_kubectl_explains_the_fields(cluster: Cluster) -> None:
    explained = await cluster.kubectl("explain", "calljob.spec.suspend")

    assert "Holds the job before dispatch" in explained
