"""A container's quota counts, of either version of control groups, and not the cores of its host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.cpu_quota import cpu_quota, usable_cores
from harness.pipeline.devices import place

LIMITS = {
    "version 2": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "250000 100000\n"}, 2.5, 2),
    "version 2, no limit": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None, 8),
    "version 2, a group around it": (
        {
            "proc/self/cgroup": "0::/a.slice/b.service\n",
            "sys/fs/cgroup/a.slice/cpu.max": "300000 100000\n",
            "sys/fs/cgroup/a.slice/b.service/cpu.max": "max 100000\n",
        },
        3.0,
        3,
    ),
    "version 1": (
        {
            "proc/self/cgroup": "5:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "150000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        1.5,
        1,
    ),
    "version 1, a group of the host": (
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/jobs/7\n",
            "sys/fs/cgroup/cpu,cpuacct/jobs/7/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/jobs/7/cpu.cfs_period_us": "100000\n",
        },
        0.5,
        1,
    ),
    "version 1, no limit": (
        {"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"},
        None,
        8,
    ),
    "more than there is": ({"sys/fs/cgroup/cpu.max": "6400000 100000\n"}, 64.0, 8),
    "damaged": ({"proc/self/cgroup": "x\n0::/../..\n", "sys/fs/cgroup/cpu.max": "a lot\n"}, None, 8),
    "nothing": ({}, None, 8),
}


@pytest.mark.parametrize("kind", LIMITS)
def test_the_quota_of_a_container(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files, quota, cores = LIMITS[kind]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert cpu_quota(tmp_path) == quota
    assert usable_cores(tmp_path) == cores


def test_under_a_quota_as_many_cores_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which ones the container's name decides: the first ones would be every container's."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr("harness.pipeline.devices.cpu_quota", lambda: 4.0)
    monkeypatch.setattr("harness.pipeline.devices.usable_cores", lambda: 4)
    found = set()
    for name in ("a", "b", "c"):
        monkeypatch.setattr("platform.node", lambda name=name: name)
        cores = [slot.cores for slot in place(["cpu"] * 2)]
        assert [len(each) for each in cores] == [2, 2]
        assert len({*cores[0], *cores[1]}) == 4
        found.add(cores[0])
    assert len(found) > 1
