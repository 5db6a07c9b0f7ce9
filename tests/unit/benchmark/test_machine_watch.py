"""What else the machine did, from counters as the system has them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.benchmark import machine_watch
from harness.benchmark.machine_watch import MachineWatch


def made_root(root: Path, *, busy: int = 0, steal: int = 0, throttled: int = 0) -> Path:
    """A file system of two cores with these counters: ticks of 10 ms, and microseconds."""
    texts = {
        "proc/stat": f"cpu {busy} 0 0 0 0 0 0 {steal} 0 0\ncpu0 1\ncpu1 1\nintr 5\n",
        "proc/loadavg": "1.50 1.00 0.50 2/100 4242\n",
        "sys/fs/cgroup/cpu.max": "150000 100000\n",
        "sys/fs/cgroup/cpu.stat": f"usage_usec 5\nthrottled_usec {throttled}\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2500000\n",
        "sys/class/thermal/thermal_zone0/temp": "61000\n",
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_systems_counters_become_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter((100.0, 110.0))
    monkeypatch.setattr(machine_watch, "monotonic", lambda: next(moments))
    watch = MachineWatch(made_root(tmp_path))
    made_root(tmp_path, busy=1000, steal=40, throttled=250_000)
    record = watch.record()
    assert (record.cores, record.cpu_quota, record.load_before) == (2, 1.5, 1.5)
    assert record.others_cores == pytest.approx(1.0, abs=0.1)  # ten seconds of a core in ten, less our own
    assert record.steal_percent == pytest.approx(2.0)
    assert record.throttled_s == 0.25
    assert (record.frequency_after_mhz, record.temperature_celsius) == (2500.0, 61.0)


def test_a_system_that_says_nothing_is_no_error(tmp_path: Path) -> None:
    record = MachineWatch(tmp_path).record()
    assert (record.others_cores, record.steal_percent, record.load_before, record.cpu_quota) == (None,) * 4


def test_the_work_of_our_own_children_is_not_that_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter((100.0, 101.0))
    monkeypatch.setattr(machine_watch, "monotonic", lambda: next(moments))
    before = os.times()
    watch = MachineWatch(made_root(tmp_path))
    subprocess.run([sys.executable, "-c", "x = 0\nfor k in range(20_000_000): x += k"], check=True)
    after = os.times()
    own_s = sum(after[:4]) - sum(before[:4])
    assert after.children_user - before.children_user > 0.2
    # of this second the machine worked for us, and half of it for others
    made_root(tmp_path, busy=round((own_s + 0.5) * os.sysconf("SC_CLK_TCK")))
    assert watch.record().others_cores == pytest.approx(0.5, abs=0.1)
