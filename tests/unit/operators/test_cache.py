"""The cache: newest version wins, finished jobs shrink."""

from typing import Any

from parlance.contracts.crs.meta import FINALIZER, TERMINAL_LABEL
from parlance.operator.cache import FinishedJob, JobCache, LiveJob
from parlance.operator.planning.facts import Facts
from parlance.operator.work_queue import Key

from tests.unit.operators.builders import CALL, COMPLETED, UID, running_facts

KEY = Key("parlance", f"call-{CALL}")


def manifest(version: int, *, is_done: bool = False, uid: str = UID) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": KEY.name,
        "namespace": KEY.namespace,
        "uid": uid,
        "resourceVersion": str(version),
        "finalizers": [] if is_done else [FINALIZER],
        "labels": {TERMINAL_LABEL: "true"} if is_done else {},
    }
    done = {
        "phase": "Succeeded",
        "completionTime": "2026-01-01T00:00:00Z",
        "conditions": [
            {
                "type": "Complete",
                "status": "True",
                "reason": "Succeeded",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ],
    }
    spec = {"company": "acme", "audio": {"objectKey": "k"}}
    return {"metadata": metadata, "spec": spec, "status": done if is_done else {}}


def test_older_version_is_no_news() -> None:
    cache = JobCache()

    assert [cache.note(manifest(version)) for version in (5, 5, 4, 6)] == [
        True,
        False,
        False,
        True,
    ]
    assert cache.version_of(KEY) == 6
    assert cache.find_key(CALL) == KEY


def test_what_was_heard_survives_a_newer_version() -> None:
    cache = JobCache()
    cache.note(manifest(1))
    live = cache.get(KEY)
    assert isinstance(live, LiveJob)
    live.facts = running_facts()
    cache.note(manifest(2))

    assert cache.get(KEY) is live
    assert live.facts == running_facts()


def test_another_object_of_the_same_name_starts_anew() -> None:
    cache = JobCache()
    cache.note(manifest(1))
    live = cache.get(KEY)
    assert isinstance(live, LiveJob)
    live.facts = running_facts()
    cache.note(manifest(2, uid="0190b000-0000-4000-8000-000000000002"))
    renewed = cache.get(KEY)

    assert isinstance(renewed, LiveJob)
    assert renewed.facts.attempt == 0


def test_finished_job_shrinks_to_what_its_removal_needs() -> None:
    cache = JobCache()
    cache.note(manifest(1))
    cache.note(manifest(2, is_done=True))
    finished = cache.get(KEY)

    assert isinstance(finished, FinishedJob)
    assert (finished.uid, finished.phase, finished.ttl_seconds) == (UID, "Succeeded", 86_400)
    assert list(cache.iterate_live()) == []
    assert [key for key, _ in cache.iterate_finished()] == [KEY]


def test_forgotten_job_is_gone_by_call_too() -> None:
    cache = JobCache()
    cache.note(manifest(1))
    cache.forget(KEY)

    assert cache.get(KEY) is None
    assert cache.find_key(CALL) is None


def test_rebuilt_bus_takes_facts_along_but_not_verdicts() -> None:
    cache = JobCache()
    cache.note(manifest(1))
    live = cache.get(KEY)
    assert isinstance(live, LiveJob)
    live.facts = running_facts()
    cache.forget_facts()

    assert live.facts == Facts()
    live.facts = running_facts(verdict=COMPLETED)
    cache.forget_facts()
    assert live.facts.verdict == COMPLETED


def test_unreadable_object_is_left_alone() -> None:
    broken = manifest(1)
    broken["spec"]["channels"] = "Quadrophonic"
    cache = JobCache()

    assert not cache.note(broken)
    assert cache.get(KEY) is None
