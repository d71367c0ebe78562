"""Merge patches hold what changed and nothing else."""

from parlance.contracts.crs.meta import COMPANY_LABEL, FINALIZER, TERMINAL_LABEL
from parlance.operator.reconcile import patches

from tests.unit.operators.builders import DONE_STATUS, job, queued_status, running_status


def test_same_status_needs_no_patch() -> None:
    assert patches.build_status_patch(queued_status(), queued_status()) is None


def test_only_changed_fields_travel_and_dropped_ones_are_null() -> None:
    before = running_status()
    after = running_status(attempts=2, progress=None)

    assert patches.build_status_patch(before, after) == {
        "status": {"attempts": 2, "progress": None}
    }


def test_nested_values_are_patched_in_place() -> None:
    old = {"a": {"x": 1, "y": 2}, "b": [1, 2]}
    new = {"a": {"x": 1, "y": 3}, "b": [1]}

    assert patches.build_merge_patch(old, new) == {"a": {"y": 3}, "b": [1]}


def test_adoption_keeps_the_finalizers_of_others() -> None:
    assert patches.build_adoption_patch(job(finalizers=("other/one",))) == {
        "metadata": {
            "finalizers": ["other/one", FINALIZER],
            "labels": {COMPANY_LABEL: "acme"},
        }
    }


def test_unfinished_job_is_released_without_the_terminal_label() -> None:
    assert patches.build_release_patch(job(finalizers=("other/one", FINALIZER))) == {
        "metadata": {"finalizers": ["other/one"]}
    }


def test_finished_job_is_released_with_it() -> None:
    assert patches.build_release_patch(job(DONE_STATUS)) == {
        "metadata": {"finalizers": [], "labels": {TERMINAL_LABEL: "true"}}
    }
