"""Whether a test was measured in peace: what disturbed it, with the figure that decided.

A disturbed test is as valid to LoadGen as any other. The limits are far from what an idle machine shows: its daemons
take less than a hundredth of its cores, and an answer in a steady test is never ten times as late as the latest of a
hundred.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from harness.runs.records import MachineRecord

OTHERS = 0.05
"""The share of the cores that other programs may use."""
STEAL_PERCENT = 1.0
"""Time that a host gives to other guests."""
THROTTLED_S = 0.1
"""Time that a container was stopped because its quota was used up."""
GAP_S, GAP_TIMES = 0.5, 10.0
"""No answer for so long, and for so many times the 99th percentile of the times between answers."""


def longest_gap_ms(samples: pd.DataFrame) -> float:
    """The longest time between two answers, from the first issue on, in milliseconds."""
    return round(float(_gaps_ns(samples).max() / 1e6), 3)


def disturbances(machine: MachineRecord | None, samples: pd.DataFrame) -> list[str]:
    """What disturbed a test, each with its figure; empty for a quiet one."""
    found = []
    if machine is not None:
        cores = machine.cores or 1
        if machine.others_cores is not None and machine.others_cores > OTHERS * cores:
            found.append(f"other programs used {machine.others_cores:.2f} of {cores} cores")
        if machine.steal_percent is not None and machine.steal_percent > STEAL_PERCENT:
            found.append(f"the host gave {machine.steal_percent:.1f} % of the time to others (steal)")
        if machine.throttled_s is not None and machine.throttled_s > THROTTLED_S:
            quota = "" if machine.cpu_quota is None else f" of {machine.cpu_quota:g} cores"
            found.append(f"the container's quota{quota} stopped it for {machine.throttled_s:.1f} s")
    gaps = _gaps_ns(samples)
    longest, usual = float(gaps.max()), float(np.quantile(gaps, 0.99))
    if longest > GAP_S * 1e9 and longest > GAP_TIMES * usual:
        found.append(f"no answer came for {longest / 1e9:.2f} s")
    return found


def _gaps_ns(samples: pd.DataFrame) -> np.typing.NDArray[np.int64]:
    completed = np.sort(samples["completed_ns"].to_numpy(np.int64))
    return np.diff(completed, prepend=int(samples["issued_ns"].min()))
