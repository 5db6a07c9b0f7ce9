"""How many cores' work this process may do: those that it may run on, or fewer where its container has a quota."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from harness.files import text_if_readable


def usable_cores(root: Path = Path("/")) -> int:
    """Whole cores, at least 1."""
    allowed, quota = len(os.sched_getaffinity(0)), cpu_quota(root)
    return allowed if quota is None else max(1, min(allowed, int(quota)))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """The cores that the control groups of this process allow it, the least of all; None where there is no limit.

    Version 2 says ``quota period`` in ``cpu.max``, version 1 has a file for each (kernel documentation, cgroup-v2.rst
    and sched-bwc.rst); "max" and -1 are no limit. A container sees its own group at the top.
    """
    limits = [limit for folder in _groups(root) if (limit := _limit(folder)) is not None]
    return min(limits, default=None)


def _groups(root: Path) -> Iterator[Path]:
    """The folders of this process's groups and of those around them, as far as they can be seen."""
    for line in text_if_readable(root / "proc/self/cgroup").splitlines():
        _, controllers, group = (*line.split(":", 2), "", "")[:3]
        names = controllers.split(",")
        if controllers and "cpu" not in names:
            continue
        path = PurePosixPath(group.lstrip("/"))
        for mount in ("sys/fs/cgroup", *(f"sys/fs/cgroup/{name}" for name in {controllers, "cpu"} if controllers)):
            for part in (path, *path.parents):
                if ".." not in part.parts:
                    yield root / mount / part
    yield root / "sys/fs/cgroup"
    yield root / "sys/fs/cgroup/cpu"


def _limit(group: Path) -> float | None:
    quota, _, period = text_if_readable(group / "cpu.max").strip().partition(" ")
    if not quota:
        quota, period = (text_if_readable(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
    if quota.isdigit() and period.isdigit() and int(period):
        return round(int(quota) / int(period), 3)
    return None
