"""What else the machine did during a test: figures that say how quiet it was.

Everything comes from Linux's own counters, read before and after, and costs the test nothing. What a system does not
give is None.
"""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from time import monotonic

from harness.cpu_quota import cpu_quota
from harness.files import text_if_readable
from harness.runs.records import MachineRecord

ROOT = Path("/")


@dataclass(frozen=True)
class _Snapshot:
    """Counters of a moment; seconds of all cores together, but for ``at_s``."""

    at_s: float
    busy_s: float | None
    steal_s: float | None
    own_s: float
    throttled_s: float | None
    switches: int
    load: float | None
    frequency_mhz: float | None


class MachineWatch:
    """Watches from its making until `record`.

    Args:
        root: of the file system with ``proc`` and ``sys``, for tests.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root
        self._before = _snapshot(root)

    def record(self) -> MachineRecord:
        """The figures of the time since the watch was made; those of child processes count once they have ended."""
        before, after = self._before, _snapshot(self._root)
        lasted_s = max(after.at_s - before.at_s, 1e-9)
        cores = _cores(self._root)
        others = None
        if before.busy_s is not None and after.busy_s is not None:
            own_s = after.own_s - before.own_s
            others = round(max(after.busy_s - before.busy_s - own_s, 0.0) / lasted_s, 3)
        steal = None
        if before.steal_s is not None and after.steal_s is not None and cores:
            steal = round(100 * (after.steal_s - before.steal_s) / lasted_s / cores, 3)
        throttled = None
        if before.throttled_s is not None and after.throttled_s is not None:
            throttled = round(after.throttled_s - before.throttled_s, 3)
        return MachineRecord(
            cores=cores,
            cpu_quota=cpu_quota(self._root),
            load_before=before.load,
            load_after=after.load,
            others_cores=others,
            steal_percent=steal,
            throttled_s=throttled,
            involuntary_switches=after.switches - before.switches,
            frequency_before_mhz=before.frequency_mhz,
            frequency_after_mhz=after.frequency_mhz,
            temperature_celsius=_temperature(self._root),
        )


def _snapshot(root: Path) -> _Snapshot:
    busy_s, steal_s = processor_times(root)
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    load = text_if_readable(root / "proc/loadavg").split()
    return _Snapshot(
        at_s=monotonic(),
        busy_s=busy_s,
        steal_s=steal_s,
        own_s=sum(usage.ru_utime + usage.ru_stime for usage in (own, children)),
        throttled_s=_throttled(root),
        switches=own.ru_nivcsw + children.ru_nivcsw,
        load=float(load[0]) if load else None,
        frequency_mhz=frequency_mhz(root),
    )


def processor_times(root: Path) -> tuple[float | None, float | None]:
    """Seconds in which the cores worked for anybody here, and in which another guest of the host had them."""
    line = text_if_readable(root / "proc/stat").partition("\n")[0].split()
    if len(line) < 9:
        return None, None
    user, nice, system, _, _, irq, softirq, steal = (int(ticks) for ticks in line[1:9])
    ticks_per_s = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / ticks_per_s, steal / ticks_per_s


def _cores(root: Path) -> int:
    lines = text_if_readable(root / "proc/stat").splitlines()
    return sum(line.startswith("cpu") and line[3:4].isdigit() for line in lines) or os.cpu_count() or 1


def _throttled(root: Path) -> float | None:
    for line in text_if_readable(root / "sys/fs/cgroup/cpu.stat").splitlines():
        name, _, value = line.partition(" ")
        if name == "throttled_usec" and value.isdigit():
            return int(value) / 1e6
    return None


def frequency_mhz(root: Path) -> float | None:
    """The mean clock of the cores now."""
    paths = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq")
    values = [int(text) for path in paths if (text := text_if_readable(path).strip()).isdigit()]
    return round(fmean(values) / 1e3, 1) if values else None


def _temperature(root: Path) -> float | None:
    """The hottest zone, degrees Celsius."""
    paths = (root / "sys/class/thermal").glob("thermal_zone*/temp")
    values = [int(text) for path in paths if (text := text_if_readable(path).strip()).isdigit()]
    return max(values) / 1e3 if values else None
