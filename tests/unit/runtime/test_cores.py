import os
from pathlib import Path

import pytest
from parlance.runtime.cores import count_cores

AFFINITY = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("text", "cores"),
    [
        ("100000 100000", 1),
        ("50000 100000", 1),
        ("190000 100000", 1),
        ("200000 100000", min(2, AFFINITY)),
        ("max 100000", AFFINITY),
        ("9900000 100000", AFFINITY),
        ("", AFFINITY),
    ],
)
def test_the_limit_of_a_container_counts(tmp_path: Path, text: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(text)

    assert count_cores(tmp_path) == cores


@pytest.mark.parametrize(("quota", "cores"), [("100000", 1), ("-1", AFFINITY), ("", AFFINITY)])
def test_so_does_that_of_the_older_control_groups(tmp_path: Path, quota: str, cores: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")

    assert count_cores(tmp_path) == cores


def test_without_a_limit_all_cores_of_the_affinity_count(tmp_path: Path) -> None:
    assert count_cores(tmp_path) == AFFINITY
