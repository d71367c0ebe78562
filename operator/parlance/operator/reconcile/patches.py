"""Merge patches from values: only what changed goes over the wire. Pure."""

from typing import Any

from parlance.contracts.crs.meta import COMPANY_LABEL, FINALIZER, TERMINAL_LABEL
from parlance.contracts.crs.v1alpha1.calljob import CallJob, CallJobStatus
from parlance.operator.planning import conditions
from parlance.runtime.kube import Manifest


def build_status_patch(old: CallJobStatus, new: CallJobStatus) -> Manifest | None:
    """Merge patch from one status to another; None when they are the same."""
    changes = build_merge_patch(_dump(old), _dump(new))
    return {"status": changes} if changes else None


def _dump(status: CallJobStatus) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def build_merge_patch(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """RFC 7386: null removes, lists are replaced as a whole."""
    patch: dict[str, Any] = dict.fromkeys(old.keys() - new.keys())
    for key, value in new.items():
        if key not in old:
            patch[key] = value
        elif isinstance(value, dict) and isinstance(old[key], dict):
            if inner := build_merge_patch(old[key], value):
                patch[key] = inner
        elif value != old[key]:
            patch[key] = value
    return patch


def build_adoption_patch(job: CallJob) -> Manifest:
    """Our finalizer, and the label that a job applied by hand lacks."""
    return {
        "metadata": {
            "finalizers": [*job.metadata.finalizers, FINALIZER],
            "labels": {COMPANY_LABEL: job.spec.company},
        }
    }


def build_release_patch(job: CallJob) -> Manifest:
    """Our finalizer off; others stay. The label makes finished jobs selectable."""
    metadata: Manifest = {
        "finalizers": [name for name in job.metadata.finalizers if name != FINALIZER]
    }
    if conditions.is_terminal(job.status):
        metadata["labels"] = {TERMINAL_LABEL: "true"}
    return {"metadata": metadata}
