"""The generated CRD is in step, bounded, small and explained."""

from collections.abc import Iterator
from typing import Any

import pytest
from parlance.contracts.crs.v1alpha1 import calljob

from tools import gen_crds

CRD = gen_crds.build_calljob_crd()
VERSION = CRD["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]


def iterate_fields(node: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from iterate_fields(child, f"{path}.{name}")
    if "items" in node:
        yield from iterate_fields(node["items"], f"{path}[]")


OWN_FIELDS = [
    (path, field)
    for path, field in iterate_fields(SCHEMA)
    if path not in (".apiVersion", ".kind", ".metadata")
]


def test_files_are_in_step_with_the_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert gen_crds.main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize(("path", "field"), OWN_FIELDS, ids=[path for path, _ in OWN_FIELDS])
def test_every_field_is_described(path: str, field: dict[str, Any]) -> None:
    assert field.get("description"), path


def test_every_string_and_list_is_bounded() -> None:
    assert list(gen_crds.find_unbounded(SCHEMA)) == []


def test_crd_fits_client_side_apply() -> None:
    assert len(gen_crds.render(CRD)) < 64 * 1024


def test_largest_object_stays_small() -> None:
    # Everything at its bound but the free texts, of which etcd keeps every version.
    job = calljob.CallJob.model_validate(
        {
            "metadata": {"name": "n" * 63},
            "spec": {"company": "c" * 63, "audio": {"uri": "https://" + "u" * 2040}},
            "status": {"conditions": [_condition(type_) for type_ in _CONDITION_TYPES]},
        }
    )

    assert len(job.model_dump_json(by_alias=True)) < 8 * 1024


_CONDITION_TYPES = ("Accepted", "Dispatched", "Suspended", "Complete", "Failed")


def _condition(type_: str) -> dict[str, str]:
    return {
        "type": type_,
        "status": "True",
        "reason": "R" * 64,
        "message": "m" * 600,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


def test_columns_are_those_of_the_design() -> None:
    columns = VERSION["additionalPrinterColumns"]

    assert [column["name"] for column in columns if not column.get("priority")] == [
        "Phase",
        "Stage",
        "Progress",
        "Company",
        "Age",
    ]
    assert [column["name"] for column in columns if column.get("priority")] == [
        "Reason",
        "Attempts",
        "Worker",
        "Duration",
        "Started",
        "Completed",
    ]


def test_names_and_category() -> None:
    names = CRD["spec"]["names"]

    assert names["shortNames"] == ["callj"]
    assert names["categories"] == ["parlance"]
    assert VERSION["subresources"] == {"status": {}}


def test_status_takes_words_that_this_version_does_not_know() -> None:
    conditions = SCHEMA["properties"]["status"]["properties"]["conditions"]

    assert "enum" not in conditions["items"]["properties"]["type"]
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def test_union_has_no_structural_form() -> None:
    with pytest.raises(ValueError, match="union"):
        gen_crds.build_structural_schema({"anyOf": [{"type": "string"}, {"type": "integer"}]})


def test_unbounded_string_is_refused() -> None:
    schema = {"type": "object", "properties": {"free": {"type": "string"}}}

    assert list(gen_crds.find_unbounded(schema)) == ["free"]
