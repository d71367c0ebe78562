"""How many cores this process may keep busy: what thread pools are sized by.

`os.cpu_count()` tells the cores of the machine, of which a container may get only a few.
"""

import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")


def count_cores(cgroups: Path = _CGROUPS) -> int:
    """By affinity and, in a container, by its CPU limit, rounded down; at least one."""
    cores = len(os.sched_getaffinity(0))
    limit = _read_v2_limit(cgroups) or _read_v1_limit(cgroups)
    return cores if limit is None else max(1, min(cores, int(limit)))


def _read_v2_limit(cgroups: Path) -> float | None:
    """`cpu.max` holds quota and period: "200000 100000" is two cores, "max 100000" no limit."""
    try:
        quota, period = (cgroups / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _read_v1_limit(cgroups: Path) -> float | None:
    """A quota of -1 is no limit."""
    try:
        quota, period = (
            int((cgroups / "cpu" / f"cpu.cfs_{name}_us").read_text())
            for name in ("quota", "period")
        )
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None
